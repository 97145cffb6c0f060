"""Forecast error by step ahead and by variable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from favit.analysis.figures._base import Plot, Section, legend, panels, style
from favit.analysis.figures._restored import columns_of
from favit.analysis.results import RunResult


def draw(section: Section, data: Path) -> Plot | None:
    """A row of panels a group; None for images and without predictions."""
    if section.task != "forecasting":
        return None
    groups = [g for g in section.table.groups if any(_profiles(section.counted(g, r)) for r in section.rows)]
    if not groups:
        return None
    looks = section.looks()
    with style():
        figure, axes = panels(len(groups), 2, height=2.2)
        for (by_step, by_variable), group in zip(axes, groups, strict=True):
            drawn = 0
            names: Sequence[str] = ()
            for row in section.rows:
                runs = section.counted(group, row)
                profiles = _profiles(runs)
                if profiles is None:
                    continue
                step, variable = profiles  # (seeds, H), (seeds, V)
                names = names or columns_of(runs[0], data) or [str(i + 1) for i in range(variable.shape[1])]
                ahead = np.arange(1, step.shape[1] + 1)
                by_step.plot(
                    ahead,
                    step.mean(0),
                    label=row.label,
                    markevery=max(1, len(ahead) // 6),
                    **looks[row.id],
                )
                offset = 0.06 * (drawn - (len(section.rows) - 1) / 2)
                by_variable.plot(
                    np.arange(len(names)) + offset,
                    variable.mean(0),
                    **{**looks[row.id], "linestyle": ""},
                )
                drawn += 1
            by_step.set(xlabel="Steps ahead", ylabel="MSE", title=group.title)
            by_variable.set_xticks(range(len(names)), names, rotation=30 if len(names) > 4 else 0)
            by_variable.set(xlabel="Variable", ylabel="MSE", title=group.title)
            by_variable.grid(axis="x", visible=False)
        legend(figure, axes[0][0])
    caption = "Test MSE in standardised units by step ahead and by variable; mean over seeds."
    return Plot("errors", "Error by horizon step and by variable", caption, figure)


def _profiles(runs: Sequence[RunResult]) -> tuple[np.ndarray, np.ndarray] | None:
    """Squared error by step (seeds, H) and by variable (seeds, V)."""
    steps, variables = [], []
    for run in runs:
        if run.predictions is not None and run.predictions.exists():
            with np.load(run.predictions) as file:
                if "by_step_squared" in file and "by_variable_squared" in file:
                    steps.append(file["by_step_squared"])
                    variables.append(file["by_variable_squared"])
    return (np.stack(steps), np.stack(variables)) if steps else None
