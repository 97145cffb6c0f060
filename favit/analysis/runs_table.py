"""A sweep's runs as a tidy CSV, ``<sweep>.runs.csv``: one row for each run and metric, with or without a score."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from favit.analysis.results import METRICS, RunResult
from favit.disk.files import write_atomic
from favit.results.selection import setting_of
from favit.results.state import State
from favit.sweeps.resolve import AXES
from favit.sweeps.runs import Cell, Run

_FIRST = ("sweep", "row", "label")
_LAST = ("state", "status", "metric", "value", "unit", "device_seconds", "finished", "folder")


def write(path: Path, sweep: str, placed: Iterable[tuple[Cell, State, RunResult]]) -> None:
    """Write the rows of a sweep's cells, each with its state and what its table made of it."""
    placed = list(placed)
    keys = differing([cell.run for cell, _, _ in placed])
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIRST, *AXES, *keys, *_LAST], restval="", lineterminator="\n")
    writer.writeheader()
    for cell, state, run in placed:
        about = {"sweep": sweep, "row": cell.row, "label": cell.label}
        about |= {key: _written(setting_of(cell.run, key)) for key in (*AXES, *keys)}
        writer.writerows({**about, **row} for row in _scores(cell.run, state, run))
    write_atomic(path, text.getvalue())


def differing(runs: Iterable[Run]) -> list[str]:
    """The settings besides the axes in which some of these runs differ, those of components included.

    Runs of one task are compared with each other: that another task has other settings is no difference.
    """
    found: dict[str, None] = {}
    runs = list(runs)
    for task in {run.task: None for run in runs}:
        own = [run for run in runs if run.task == task]
        for key in sorted({key for run in own for key in run.settings} - {*AXES}):
            if len({repr(value) for run in own if (value := setting_of(run, key)) is not None}) > 1:
                found[key] = None
    return sorted(found)


def _scores(run: Run, state: State, result: RunResult) -> Iterable[dict[str, Any]]:
    found: Mapping[str, Any] = result.metrics or {}
    about = {
        "state": result.state,
        "status": found.get("status", ""),
        "device_seconds": found.get("device_seconds", ""),
        "finished": found.get("finished", ""),
        "folder": str(state.folder) if state.counts else "",
    }
    for metric in METRICS[run.task]:
        score = result.score(metric.key)
        # In full, as the result has it: the table rounds.
        yield {
            **about,
            "metric": metric.key,
            "value": "" if score is None else repr(score),
            "unit": metric.unit,
        }


def _written(value: Any) -> Any:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
