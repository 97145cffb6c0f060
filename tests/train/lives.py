"""Lives of a run: ``favit.train`` in processes of their own, which can be killed and started again.

They are forked from a server that has imported torch already, so that a life
costs milliseconds instead of seconds. Imported by name in those processes: kept
free of fixtures.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "favit.train.life.process",
        "favit.train.tasks.classification",
        "favit.train.tasks.forecasting",
        "favit.models.favit",
        "favit.models.informer",
        "sklearn.datasets",
        "pandas",
    ]
)


def shrink() -> None:
    """Make FaViT-B0 a model of the same parts that trains in milliseconds a step."""
    from favit.models import favit

    favit.SHAPES["favit_b0"] = favit.Shape((32, 64, 64, 64), (1, 1, 1, 1), (1, 2, 2, 2), (2, 2, 2, 2))


def _live(
    program: str,
    arguments: list[str],
    small: bool,
    prepare: Callable[..., None] | None,
    given: tuple[Any, ...],
    log: str,
) -> None:
    import torch

    out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1), os.dup2(out, 2)
    torch.set_num_threads(1)
    if small:
        shrink()
    if prepare is not None:
        prepare(*given)
    status = importlib.import_module(program).main(arguments)
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)


class Life:
    """One process that trains; ``output`` is what it said."""

    def __init__(
        self,
        folder: Path,
        envelope: dict[str, Any],
        *options: str,
        prepare: Callable[..., None] | None = None,
        given: tuple[Any, ...] = (),
        small: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        request = folder.with_suffix(".json")
        request.write_text(json.dumps(envelope))
        self.log = folder.with_suffix(f".{time.monotonic_ns()}.log")
        self.out = folder
        arguments = ["--run", str(request), "--out", str(folder), "--device", "cpu", *options]
        # What completes a bare run is not there where a prepared one is trained.
        program = "favit.train.life.process" if "run" in envelope else "favit.train.__main__"
        live = (program, arguments, small, prepare, given, str(self.log))
        self.process = _SERVER.Process(target=_live, args=live)
        self.process.start()

    def wait(self, seconds: float = 600) -> int:
        """Its exit status."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running after {seconds} s: {self.output}"
        return self.process.exitcode

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process.pid
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join(30)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.is_alive()

    @property
    def output(self) -> str:
        """Both streams."""
        return self.log.read_text() if self.log.exists() else ""

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for a condition while it runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.alive, f"ended too early ({self.process.exitcode}): {self.output}"
            assert time.monotonic() < end, f"waited {seconds} s: {self.output}"
            time.sleep(0.005)


class Lives(Life):
    """One process that trains a list of runs, each in the folder of its name."""

    def __init__(
        self,
        folder: Path,
        wanted: dict[str, dict[str, Any] | None],
        *options: str,
        prepare: Callable[..., None] | None = None,
        given: tuple[Any, ...] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for name, envelope in wanted.items():
            if envelope is not None:
                (folder / f"{name}.json").write_text(json.dumps(envelope))
            lines.append(json.dumps({"run": str(folder / f"{name}.json"), "out": str(folder / name)}))
        (folder / "list").write_text("\n".join(lines) + "\n")
        self.log = folder / f"{time.monotonic_ns()}.log"
        self.out = folder
        arguments = ["--runs", str(folder / "list"), "--device", "cpu", *options]
        live = ("favit.train.life.process", arguments, True, prepare, given, str(self.log))
        self.process = _SERVER.Process(target=_live, args=live)
        self.process.start()

    def ended(self) -> dict[str, int]:
        """Exit status of each run that has ended, in that order."""
        said = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return {Path(one["out"]).name: one["exit_code"] for one in said}


def straight(folder: Path, wanted: dict, small: bool = True) -> Life:
    """A run from beginning to end."""
    life = Life(folder, wanted, "--keep", "weights", small=small)
    assert life.wait() == 0, life.output
    return life


def signal_after_step(step: int, number: int) -> None:
    """This process sends itself a signal in its so-manieth training step."""
    from favit.train.learner import Learner

    taken, original = [], Learner.step

    def counted(self: Learner, *arguments: object) -> object:
        taken.append(1)
        if len(taken) == step:
            os.kill(os.getpid(), number)
        return original(self, *arguments)  # type: ignore[arg-type]

    Learner.step = counted  # type: ignore[method-assign,assignment]
