"""Times two ways of doing the same thing in turn, A B A B ..., so that a machine's drift falls on both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


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
    a: Callable[[], object], b: Callable[[], object], repeats: int = 10, warmup: int = 2
) -> Comparison:
    """Call ``a`` and ``b`` in turn ``repeats`` times after ``warmup`` uncounted rounds."""
    for _ in range(warmup):
        a(), b()
    seconds: list[tuple[float, float]] = []
    for _ in range(repeats):
        seconds.append((_timed(a), _timed(b)))
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
