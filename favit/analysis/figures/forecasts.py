"""Forecast against truth on windows of the test part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from favit.analysis.figures._base import Plot, Section, legend, panels, style
from favit.analysis.figures._restored import data_of, facts_of, model_of, settings_of
from favit.analysis.results import RunResult
from favit.analysis.table import Group

_WINDOWS = (1 / 6, 3 / 6, 5 / 6)  # where in the test part: fixed, so that no window was chosen for its looks


def draw(section: Section, data: Path) -> Plot | None:
    """The last variable (the target, where a series has one) of three windows; needs kept weights and data."""
    if section.task != "forecasting":
        return None
    found = [(g, f) for g in section.table.groups if (f := _forecasts(section, g, data)) is not None]
    if not found:
        return None
    looks = section.looks()
    labels = {row.id: row.label for row in section.rows}
    with style():
        figure, axes = panels(len(found), len(_WINDOWS), height=1.9)
        for row_of_panels, (group, forecasts) in zip(axes, found, strict=True):
            for panel, window in zip(row_of_panels, forecasts["windows"], strict=True):
                before = np.arange(-len(window["input"]) + 1, 1)
                ahead = np.arange(1, len(window["truth"]) + 1)
                panel.plot(
                    np.append(before, ahead), np.append(window["input"], window["truth"]), color="0.6", lw=1.6,
                    label="truth",
                )  # fmt: skip
                for row_id, values in window["forecast"].items():
                    style_of = {**looks[row_id], "marker": ""}
                    panel.plot(ahead, values, label=labels[row_id], **style_of)
                panel.axvline(0.5, color="0.3", lw=0.6)
                panel.set(title=window["when"], xlabel="Steps ahead")
            row_of_panels[0].set_ylabel(", ".join(filter(None, [forecasts["variable"], group.title])))
        legend(figure, axes[0][0])
    caption = (
        "Forecasts (lowest seed) and truth in standardised units, last variable, on the windows at 1/6, 3/6 and "
        "5/6 of the test part. To the left of the line: the end of the input."
    )
    return Plot("forecasts", "Forecast against truth", caption, figure)


def _forecasts(section: Section, group: Group, root: Path) -> dict[str, Any] | None:
    """Truth and forecasts of a group's rows that kept their weights."""
    runs = [runs[0] for row in section.rows if (runs := section.counted(group, row))]
    series = data_of(runs[0], root) if runs else None
    if series is None:
        return None
    models = {run.row_id: m for run in runs if (m := model_of(run, facts_of(run, series))) is not None}
    return None if not models else _windows(series, runs[0], models)


def _windows(series: Any, run: RunResult, models: dict[str, Any]) -> dict[str, Any]:
    import torch

    settings = settings_of(run) or {}
    length, label, horizon = (settings[k] for k in ("input_length", "label_length", "horizon"))
    values, marks = series.standardise(), series.marks
    starts = series.window_starts("test", length, horizon)
    windows = []
    for fraction in _WINDOWS:
        begin = starts[int(fraction * len(starts))]
        now, end = begin + length, begin + length + horizon
        decoder = values[now - label : end].clone()
        decoder[label:] = 0
        inputs = [x[None] for x in (values[begin:now], marks[begin:now], decoder, marks[now - label : end])]
        with torch.no_grad():
            forecast = {row_id: model(*inputs)[0, :, -1].numpy() for row_id, model in models.items()}
        shown = min(length, 2 * horizon)
        windows.append(
            {
                "input": values[now - shown : now, -1].numpy(),
                "truth": values[now:end, -1].numpy(),
                "forecast": forecast,
                "when": str(series.timestamps[now])[:16].replace("T", " "),
            }
        )
    return {"windows": windows, "variable": series.columns[-1]}
