"""The progress of each run of a sweep, from its folder alone: epoch, scores, speed and time left."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from favit.disk.lease import holder_of
from favit.disk.run_folder import RunFolder
from favit.results.state import Results, State
from favit.sweeps.runs import Run

Standing = Literal["finished", "diverged", "running", "stopped", "waiting", "missing"]

# What ``favit.train.life.reporter.epoch_line`` writes into a run's log after each epoch.
_EPOCH = re.compile(
    r"epoch (?P<epoch>\d+)/(?P<epochs>\d+)  loss (?P<loss>\S+)  \S+ (?P<scores>.*?)  lr \S+  "
    r"(?P<speed>\d+\.?\d*) (?P<unit>\S+)/s  left (?P<days>\d+ days?, )?(?P<left>\d+:\d\d:\d\d)"
)
_LAST = 8192  # bytes of a log in which its last epoch is looked for


@dataclass(frozen=True)
class Progress:
    """The progress of one run.

    epoch: how many of its ``epochs`` are done. scores: those of the last epoch, as its log has them
    (``top1 93.24 top5 100``). speed: examples a second, with their unit. left: seconds, as the run expected after its
    last epoch, less the time since; None before the first. seconds: what it took, if it is finished. said: the last
    line of its log, if it stopped.
    """

    run: Run
    standing: Standing
    epochs: int
    epoch: int = 0
    scores: str = ""
    speed: str = ""
    left: float | None = None
    seconds: float | None = None
    where: str = ""
    said: str = ""

    @property
    def done(self) -> bool:
        """True if the run has a result."""
        return self.standing in ("finished", "diverged")

    @property
    def share(self) -> float:
        """The part of its epochs that is behind it."""
        return 1.0 if self.done else min(1.0, self.epoch / max(1, self.epochs))


def progress(state: State, results: Results, now: float | None = None) -> Progress:
    """The progress of a run; ``now`` is the time in seconds, for tests."""
    epochs = int(state.run["epochs"])
    if state.result is not None:
        standing: Standing = "diverged" if state.result.status == "diverged" else "finished"
        return Progress(state.run, standing, epochs, epochs, seconds=state.result.seconds)
    for folder in _folders(state, results):
        if holder := holder_of(folder):
            return _from_log(state.run, RunFolder(folder), "running", epochs, holder, now)
    files = RunFolder(state.folder)
    if files.log.is_file():
        return _from_log(state.run, files, "stopped", epochs, "", now)
    return Progress(state.run, "waiting" if files.request.is_file() else "missing", epochs)


def _folders(state: State, results: Results) -> Iterator[Path]:
    """Where the run may be trained now: a job that was queued before an edit goes on with the code that it had."""
    yield state.folder
    place = results.place(state.run)
    for folder in sorted(place.iterdir()) if place.is_dir() else []:
        if (
            folder != state.folder
            and holder_of(folder)
            and _settings(RunFolder(folder)) == dict(state.run.settings)
        ):
            yield folder


def _settings(files: RunFolder) -> object:
    try:
        return json.loads(files.request.read_text())["run"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_log(
    run: Run, files: RunFolder, standing: Standing, epochs: int, where: str, now: float | None
) -> Progress:
    text, written = _end_of(files.log)
    lines = [line for line in text.splitlines() if line.strip()]
    said = lines[-1] if lines else ""
    found = next((match for line in reversed(lines) if (match := _EPOCH.match(line))), None)
    if found is None:
        return Progress(run, standing, epochs, where=where, said=said)
    # The clock of the machine that wrote it may be ahead.
    passed = max(0.0, (time.time() if now is None else now) - written)
    return Progress(
        run,
        standing,
        int(found["epochs"]),
        int(found["epoch"]),
        found["scores"],
        f"{float(found['speed']):.0f} {found['unit']}/s",
        max(0.0, _seconds(found["days"], found["left"]) - passed) if standing == "running" else None,
        where=where,
        said=said,
    )


def _end_of(log: Path) -> tuple[str, float]:
    """The last lines of a log, and when it was written; empty if there is none yet."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LAST))
            return file.read().decode("utf-8", "replace"), log.stat().st_mtime
    except OSError:
        return "", 0.0


def _seconds(days: str | None, clock: str) -> float:
    """``1 day, 2:03:04`` in seconds."""
    hours, minutes, seconds = map(int, clock.split(":"))
    whole = int(days.split()[0]) if days else 0
    return timedelta(days=whole, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
