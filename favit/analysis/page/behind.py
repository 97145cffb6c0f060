"""The runs behind a row of the report's tables, each with settings, curve, log and the command to repeat it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.analysis.figures._base import Section
from favit.analysis.histories import scores_by_epoch
from favit.analysis.results import METRICS, RunResult
from favit.analysis.table import Group, Line
from favit.disk.run_folder import RunFolder

_LOG_LINES = 12
_WIDTH, _HEIGHT, _MARGIN = 320, 96, 6  # of a curve, in the units of its picture


@dataclass(frozen=True)
class Curve:
    """A run's score by epoch as the points of a polyline; what the axes span, as text."""

    points: str
    caption: str
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True)
class Card:
    """A run as the report shows it.

    settings: name and value. again: the command that repeats it, empty where none is known.
    """

    name: str
    state: str
    note: str
    scores: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]
    curve: Curve | None
    log: str
    again: str


@dataclass(frozen=True)
class Behind:
    """The texts that a line's cells show on hover (by title of the metric's section), and its runs."""

    anchor: str
    title: str
    hover: Mapping[str, str]
    cards: Sequence[Card]


def behind(section: Section) -> list[Behind]:
    """The runs behind each line of the table, in its order."""
    places = [(group, line) for group in section.table.groups for line in group.lines]
    name = section.table.spec.name
    return [
        _behind(section, group, line, f"{name}-runs-{number}")
        for number, (group, line) in enumerate(places, 1)
    ]


def _behind(section: Section, group: Group, line: Line, anchor: str) -> Behind:
    key = section.table.spec.key
    runs = [run for run in section.results if run.row_id == line.row.id and key(run.group) == key(group.key)]
    runs.sort(key=lambda run: (run.seed, run.name))
    hover = {
        metric.title: "\n".join(
            f"{run.name or f'seed {run.seed}'}: {score:.6g}"
            for run in runs
            if (score := run.score(metric.key)) is not None
        )
        for metric in METRICS[section.task]
    }
    title = ", ".join(filter(None, [group.title, line.row.label]))
    return Behind(anchor, title, {k: v for k, v in hover.items() if v}, [_card(run, section) for run in runs])


def _card(run: RunResult, section: Section) -> Card:
    found = run.metrics or {}
    metrics = METRICS[section.task]
    scores = [(m.title, f"{s:.6g}") for m in metrics if (s := run.score(m.key)) is not None]
    settings = found.get("run") or {}
    return Card(
        name=run.name or f"seed {run.seed}",
        state="diverged" if run.diverged else run.state,
        note=run.note,
        scores=scores,
        facts=_facts(found),
        settings=[(key, _written(value)) for key, value in sorted(settings.items())],
        curve=_curve(run, metrics[0].key, metrics[0].title),
        log=_end_of_log(run.folder),
        again=_again(found, run.folder),
    )


def _facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    hardware = found.get("hardware") or {}
    device = ", ".join(hardware.get("gpus") or []) or hardware.get("cpu", "")
    hours = (found.get("device_seconds") or 0.0) / 3600
    facts = [
        (
            "Trained",
            " to ".join(
                str(found[key])[:16].replace("T", " ") for key in ("started", "finished") if key in found
            ),
        ),
        ("Device", f"{device}, {hours:.3g} hours" if device else ""),
        ("Epochs", str(found.get("epochs_run", ""))),
        ("Code", str(found.get("commit") or "")[:12]),
    ]
    return [(name, text) for name, text in facts if text]


def _curve(run: RunResult, metric: str, title: str) -> Curve | None:
    """The score by epoch; None if there are fewer than two."""
    values = [] if run.folder is None else scores_by_epoch(run.folder, metric)
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return None
    low, high = min(finite), max(finite)
    across = (_WIDTH - 2 * _MARGIN) / (len(values) - 1)
    down = (_HEIGHT - 2 * _MARGIN) / ((high - low) or 1.0)
    points = " ".join(
        f"{_MARGIN + i * across:.1f},{_HEIGHT - _MARGIN - (value - low) * down:.1f}"
        for i, value in enumerate(values)
        if math.isfinite(value)
    )
    return Curve(points, f"{title} by epoch, 1 to {len(values)}: {low:.4g} to {high:.4g}")


def _end_of_log(folder: Path | None) -> str:
    if folder is None:
        return ""
    try:
        lines = RunFolder(folder).log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-_LOG_LINES:])


def _again(found: Mapping[str, Any], folder: Path | None) -> str:
    """The command that trains the run once more, with the code and settings that made it."""
    if folder is None or not found:
        return ""
    files = RunFolder(folder)
    snapshot = found.get("snapshot")
    if snapshot and files.request.is_file():
        root = next((p for p in folder.parents if (p / "snapshots" / str(snapshot)).is_dir()), None)
        if root is not None:
            return shlex.join(
                [
                    "python",
                    str(root / "snapshots" / str(snapshot)),
                    "--run",
                    str(files.request),
                    "--out",
                    "again",
                ]
            )
    settings = found.get("run")
    return (
        f"echo {shlex.quote(json.dumps(settings))} | python -m favit.train --run - --out again"
        if settings
        else ""
    )


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
