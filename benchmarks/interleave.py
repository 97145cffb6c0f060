"""Times two ways of doing the same thing in turn, A B A B ..., so that a machine's drift falls on both."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def machine_line(protocol: str) -> str:
    """The machine and how is measured on it: a ratio of one is no ratio of another."""
    import torch

    name, flags = platform.processor() or platform.machine(), ""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            facts = dict(
                line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line
            )
        facts = {key.strip(): value.strip() for key, value in facts.items()}
        name, flags = facts.get("model name", name), facts.get("flags", "")
    except OSError:
        pass
    width = "AVX-512" if "avx512f" in flags.split() else "AVX2" if "avx2" in flags.split() else "no AVX2"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"[{name}, {width}, {os.cpu_count()} cores, load {load:.1f}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads] {protocol}"
    )


@dataclass(frozen=True)
class Comparison:
    """Seconds a call of each side, and the median of the pairwise ratios A/B."""

    seconds_a: float
    seconds_b: float
    ratio: float
    ratio_min: float
    ratio_max: float
    repeats: int

    def line(self, name: str) -> str:
        """One line for people: medians, ratio and its range."""
        return (
            f"{name:<58} {self.seconds_a:9.4f} s {self.seconds_b:9.4f} s  ratio {self.ratio:6.3f} "
            f"[{self.ratio_min:.3f}, {self.ratio_max:.3f}] n={self.repeats}"
        )


def compare(
    a: Callable[[], Any],
    b: Callable[[], Any],
    repeats: int = 10,
    warmup: int = 2,
    seconds_of: Callable[[Callable[[], Any]], float] | None = None,
) -> Comparison:
    """Call ``a`` and ``b`` in turn ``repeats`` times after ``warmup`` uncounted rounds.

    ``seconds_of`` makes a call and says what counts of it; left out, that is the time by the clock.
    """
    measure = seconds_of or _timed
    for _ in range(warmup):
        a(), b()
    seconds: list[tuple[float, float]] = []
    for _ in range(repeats):
        seconds.append((measure(a), measure(b)))
    ratios = [x / y for x, y in seconds]
    return Comparison(
        statistics.median(x for x, _ in seconds),
        statistics.median(y for _, y in seconds),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        repeats,
    )


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Elsewhere:
    """A call that lives in a process of its own, so that what one side sets neither helps nor hinders the other.

    ``make(*arguments)`` is called there once and gives what each call of this object then calls. A call returns the
    processor's seconds that it took there, which other programs on the machine disturb less than the clock's.
    """

    def __init__(self, make: Callable[..., Callable[[], object]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._there, inside = context.Pipe()
        self._process = context.Process(target=_serve, args=(inside, make, arguments))
        self._process.start()
        inside.close()

    def __call__(self) -> float:
        self._there.send(True)
        answer: float | str = self._there.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        self._there.close()
        self._process.join()


def _serve(inside: Connection, make: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> None:
    try:
        call = make(*arguments)
        while inside.recv():
            before = time.process_time()
            call()
            inside.send(time.process_time() - before)
    except EOFError:
        return
    except Exception as error:  # told to the one who waits
        inside.send(f"{type(error).__name__}: {error}")
