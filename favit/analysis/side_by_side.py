"""Compare two sweeps: the settings in which they differ, and each row's scores in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from favit.analysis.results import METRICS, Metric, RunResult
from favit.analysis.run_results import run_result
from favit.results.selection import setting_of
from favit.results.state import Results
from favit.sweeps.resolve import AXES
from favit.sweeps.runs import Cell

Place = tuple[tuple[tuple[str, Any], ...], str]  # values of a block's axes, and a row


@dataclass(frozen=True)
class Side:
    """A sweep's cells, each with its run as tables see it."""

    name: str
    placed: Sequence[tuple[Cell, RunResult]]

    @property
    def task(self) -> str:
        """``classification`` or ``forecasting``."""
        return self.placed[0][0].run.task

    def values(self, key: str) -> list[str]:
        """The values of a setting in the sweep's runs, each once."""
        found = (setting_of(cell.run, key) for cell, _ in self.placed)
        return list(dict.fromkeys("–" if value is None else str(value) for value in found))


def side(name: str, in_sweep: Sequence[Cell], results: Results) -> Side:
    """A sweep as it stands."""
    states = {state.run.key: state for state in results.states([cell.run for cell in in_sweep])}
    return Side(name, [(cell, run_result(cell, states[cell.run.key])) for cell in in_sweep])


def lines(left: Side, right: Side) -> Iterator[str]:
    """The comparison of two sweeps, line by line. ``ValueError`` if their tasks differ."""
    if left.task != right.task:
        raise ValueError(f"cannot compare {left.name} ({left.task}) with {right.name} ({right.task})")
    keys = [*AXES, *sorted({k for s in (left, right) for c, _ in s.placed for k in c.run.settings} - {*AXES})]
    changed = [key for key in keys if left.values(key) != right.values(key)]
    if changed:
        yield from _aligned(
            [["setting", left.name, right.name]]
            + [[key, *(", ".join(s.values(key)) for s in (left, right))] for key in changed]
        )
    else:
        yield f"{left.name} and {right.name} have the same settings"
    one, other = (_by_place(s, _told_by(left, right)) for s in (left, right))
    for metric in METRICS[left.task]:
        head = [metric.title, left.name, right.name, "difference"]
        rows = [_row(place, one, other, metric) for place in dict.fromkeys([*one, *other])]
        yield ""
        yield from _aligned([head, *rows])


def _told_by(left: Side, right: Side) -> list[str]:
    """The axes of blocks of which a sweep has several: one that is the same in all of it says nothing of a row."""
    axes = [axis for s in (left, right) for cell, _ in s.placed for axis, _ in cell.group]
    return [
        a
        for a in dict.fromkeys(axes)
        if any(len({dict(c.group).get(a) for c, _ in s.placed}) > 1 for s in (left, right))
    ]


def _by_place(of: Side, axes: Sequence[str]) -> dict[Place, list[RunResult]]:
    found: dict[Place, list[RunResult]] = {}
    for cell, run in of.placed:
        values = dict(cell.group)
        found.setdefault((tuple((a, values.get(a)) for a in axes), cell.row), []).append(run)
    return found


def _row(
    place: Place,
    one: Mapping[Place, Sequence[RunResult]],
    other: Mapping[Place, Sequence[RunResult]],
    metric: Metric,
) -> list[str]:
    group, row = place
    scores = [
        [score for run in found.get(place, ()) if (score := run.score(metric.key)) is not None]
        for found in (one, other)
    ]
    left, right = scores
    difference = f"{fmean(right) - fmean(left):+.{metric.decimals}f}" if left and right else "–"
    named = " ".join([*(f"{axis}={value}" for axis, value in group), row])
    return [named, *(_written(values, metric) for values in scores), difference.replace("-", "−")]


def _written(scores: Sequence[float], metric: Metric) -> str:
    """Mean, deviation over seeds and their number: ``75.81 ± 0.12 (3)``."""
    if not scores:
        return "–"
    spread = f" ± {stdev(scores):.{metric.decimals}f}" if len(scores) > 1 else ""
    return f"{fmean(scores):.{metric.decimals}f}{spread} ({len(scores)})"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
