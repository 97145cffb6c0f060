"""The screen of ``favit watch``: a line for each sweep, each run in training and each stopped run, and the queue."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from favit.watching.forecast import Forecast, forecast
from favit.watching.runs import Progress

_BAR = 24  # characters
_MOST_STOPPED = 8


def lines(
    sweeps: Mapping[str, Sequence[Progress]], queue: Sequence[str], width: int, now: float
) -> Iterator[str]:
    """The screen, ``width`` characters wide. A run of several sweeps is shown once."""
    name_width = max(map(len, sweeps), default=0)
    for name, runs in sweeps.items():
        yield _cut(f"{name:<{name_width}}  {summary(forecast(runs), now)}", width)
    distinct = {run.run.key: run for runs in sweeps.values() for run in runs}
    going = [run for run in distinct.values() if run.standing == "running"]
    if going:
        yield ""
        yield from (_cut(line, width) for line in _table(going))
    stopped = [run for run in distinct.values() if run.standing == "stopped"]
    if stopped:
        yield ""
        for run in stopped[:_MOST_STOPPED]:
            yield _cut(f"stopped  {_name(run)}  epoch {run.epoch}/{run.epochs}  {run.said}", width)
        if len(stopped) > _MOST_STOPPED:
            yield f"and {len(stopped) - _MOST_STOPPED} more stopped runs"
    if queue:
        yield ""
        yield from (_cut(line, width) for line in queue)


def summary(found: Forecast, now: float) -> str:
    """``[######----]  62 %  3 of 5 runs, 1 running, 1 missing; 0:02:10 left, until 14:05``."""
    filled = int(found.share * _BAR)
    parts = [
        f"[{'#' * filled}{'-' * (_BAR - filled)}] {int(100 * found.share):3d} %  {found.done} of {found.total} runs"
    ]
    parts += [
        f"{number} {word}"
        for word in ("running", "waiting", "stopped", "diverged", "missing")
        if (number := found.counts[word])
    ]
    text = ", ".join(parts)
    if found.done == found.total:
        return text
    if found.left is None or not found.counts["running"]:
        return text
    return f"{text}; {_duration(found.left)} left, until {_clock(now + found.left, now)}"


def _table(going: Sequence[Progress]) -> Iterator[str]:
    rows = [("RUN", "EPOCH", "SCORES", "SPEED", "LEFT", "ON")]
    rows += [
        (
            _name(run),
            f"{run.epoch}/{run.epochs}",
            run.scores or "–",
            run.speed or "–",
            "–" if run.left is None else _duration(run.left),
            run.where,
        )
        for run in going
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


def _name(run: Progress) -> str:
    return f"{run.run['dataset']} {run.run.name}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _clock(then: float, now: float) -> str:
    """``14:05``, with its day where that is another."""
    same = time.localtime(then)[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if same else "%Y-%m-%d %H:%M", time.localtime(then))


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
