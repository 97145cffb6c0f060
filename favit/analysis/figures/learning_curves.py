"""Score by epoch: mean over seeds, band of one standard deviation; runs that are still going, each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from favit.analysis.figures._base import Plot, Section, legend, panels, style
from favit.analysis.histories import scores_by_epoch
from favit.analysis.results import RunResult
from favit.analysis.table import Group, Row


def draw(section: Section, data: Path) -> Plot | None:
    """Panels by group; a row ends where its first seed does. None without a ``history.csv``."""
    curves = {
        (i, row.id): curve
        for i, group in enumerate(section.table.groups)
        for row in section.rows
        if (curve := _curves(section.counted(group, row), section.metric.key)) is not None
    }
    going = {
        (i, row.id): found
        for i, group in enumerate(section.table.groups)
        for row in section.rows
        if (found := _going(section, group, row))
    }
    if not curves and not going:
        return None
    shown = sorted({i for i, _ in (*curves, *going)})
    looks = section.looks()
    with style():
        figure, [axes] = panels(1, len(shown), sharey=True)
        for panel, i in zip(axes, shown, strict=True):
            for row in section.rows:
                for scores in going.get((i, row.id), ()):
                    look = {**looks[row.id], "marker": "o", "markerfacecolor": "none", "markevery": [-1]}
                    panel.plot(range(1, len(scores) + 1), scores, alpha=0.6, gid=f"going {row.id}", **look)
                if (i, row.id) not in curves:
                    continue
                epochs, values = curves[i, row.id]  # (E,), (seeds, E)
                mean = values.mean(axis=0)
                look = looks[row.id]
                panel.plot(epochs, mean, label=row.label, markevery=max(1, len(epochs) // 6), **look)
                if len(values) > 1:
                    std = values.std(axis=0, ddof=1)
                    panel.fill_between(epochs, mean - std, mean + std, color=look["color"], alpha=0.15, lw=0)
            panel.set(xlabel="Epoch", title=section.table.groups[i].title)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        validated = any((run.metrics or {}).get("run", {}).get("validation_split") for run in section.results)
        part = "test" if section.task == "classification" and not validated else "validation"
        axes[0].set_ylabel(f"{section.metric.title}, {part}")
        _legend_of_fullest(figure, axes)
    caption = (
        f"{section.metric.label} on {part} data by epoch: mean over seeds, band of one standard deviation."
    )
    if going:
        number = sum(map(len, going.values()))
        caption += (
            f" Pale lines ending in a circle: {number} {'run' if number == 1 else 'runs'} still in training."
        )
    return Plot("learning-curves", "Learning curves", caption, figure)


def _legend_of_fullest(figure: Figure, axes: Sequence[Axes]) -> None:
    legend(figure, max(axes, key=lambda panel: len(panel.get_lines())))


def _curves(runs: Sequence[RunResult], metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Epochs (E,) that every seed reached and the scores there (seeds, E)."""
    histories = [
        h for run in runs if run.predictions and (h := scores_by_epoch(run.predictions.parent, metric))
    ]
    if not histories:
        return None
    last = min(len(h) for h in histories)
    return np.arange(1, last + 1), np.array([h[:last] for h in histories])


def _going(section: Section, group: Group, row: Row) -> list[list[float]]:
    """The scores so far of the row's runs that are being trained."""
    key = section.table.spec.key
    runs = [
        run
        for run in section.results
        if (run.state, run.row_id) == ("running", row.id) and key(run.group) == key(group.key) and run.folder
    ]
    return [
        scores for run in runs if run.folder and (scores := scores_by_epoch(run.folder, section.metric.key))
    ]
