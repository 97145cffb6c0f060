"""The screen of ``favit watch``: a line for each sweep, each run in training and each stopped run, and the queue."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from favit.watching.forecast import Forecast, forecast
from favit.watching.runs import Progress

_BARS = (24, 8, 0)  # characters; the longest that leaves room for what else a line says
_MOST_STOPPED = 8
_FEWEST = 2  # lines of running runs that are shown on the lowest screen


def lines(
    sweeps: Mapping[str, Sequence[Progress]],
    queue: Sequence[str],
    width: int,
    now: float,
    height: int | None = None,
) -> Iterator[str]:
    """The screen, ``width`` characters wide; what is more than ``height`` lines is counted. A run of several sweeps is
    shown once."""
    name_width = max(map(len, sweeps), default=0)
    head = [
        line
        for name, runs in sweeps.items()
        for line in _sweep(name.ljust(name_width), forecast(runs), width, now)
    ]
    distinct = {run.run.key: run for runs in sweeps.values() for run in runs}
    stopped = [run for run in distinct.values() if run.standing == "stopped"]
    foot = (
        ["", *(line for run in stopped[:_MOST_STOPPED] for line in _stopped(run, width))] if stopped else []
    )
    if len(stopped) > _MOST_STOPPED:
        foot.append(_cut(f"and {len(stopped) - _MOST_STOPPED} more stopped runs", width))
    if queue:
        foot += ["", *(_cut(line, width) for line in queue)]
    going = [run for run in distinct.values() if run.standing == "running"]
    room = None if height is None else max(_FEWEST, height - len(head) - len(foot) - 2)
    found = [*head, *(["", *_running(going, width, room)] if going else []), *foot]
    if height is not None and len(found) >= height:  # the last line of a terminal is the cursor's
        found = [*found[: height - 2], "…"]
    yield from found


def _sweep(name: str, found: Forecast, width: int, now: float) -> list[str]:
    """A sweep's line, or lines where it is too long even without its bar."""
    for bar in _BARS:
        line = f"{name}  {summary(found, now, bar)}"
        if len(line) <= width:
            return [line]
    return textwrap.wrap(line, max(width, 20), subsequent_indent="  ")


def _running(going: Sequence[Progress], width: int, room: int | None) -> list[str]:
    """A line for each run below a heading, two on a narrow screen; those for which there is no room are counted."""
    table = list(_table(going))
    if max(map(len, table)) <= width:
        heading, each = table[:1], [[line] for line in table[1:]]
    else:
        heading, each = [], [[_cut(_name(run), width), _cut(f"  {_facts(run)}", width)] for run in going]
    fit = len(each)
    if room is not None and len(heading) + sum(map(len, each)) > room:
        fit = max(1, (room - len(heading) - 1) // len(each[0]))
    shown = [*heading, *(line for lines_of in each[:fit] for line in lines_of)]
    return shown if fit >= len(each) else [*shown, _cut(f"and {len(each) - fit} more running runs", width)]


def _facts(run: Progress) -> str:
    left = "" if run.left is None else f"{_duration(run.left)} left"
    return ", ".join(filter(None, [f"{run.epoch}/{run.epochs}", left, run.scores, run.speed, run.where]))


def _stopped(run: Progress, width: int) -> list[str]:
    """What a stopped run said last, beside its name or below it."""
    named = f"stopped  {_name(run)}  epoch {run.epoch}/{run.epochs}"
    if len(named) + 2 + len(run.said) <= width:
        return [f"{named}  {run.said}".rstrip()]
    return [_cut(named, width), _cut(f"  {run.said}", width)]


def summary(found: Forecast, now: float, bar: int = _BARS[0]) -> str:
    """``[######----]  62 %  3 of 5 runs, 1 running, 1 missing; 0:02:10 left, until 14:05``; bar: its characters."""
    filled = int(found.share * bar)
    drawn = f"[{'#' * filled}{'-' * (bar - filled)}] " if bar else ""
    parts = [f"{drawn}{int(100 * found.share):3d} %  {found.done} of {found.total} runs"]
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
