"""Difference of each mechanism to the baseline, with its interval."""

from __future__ import annotations

from pathlib import Path

from favit.analysis.figures._base import Plot, Section, panels, style
from favit.analysis.statistics import Difference
from favit.analysis.table import Group, Line


def draw(section: Section, data: Path) -> Plot | None:
    """A panel a group; None if nothing was compared."""
    compared = [(group, lines) for group in section.table.groups if (lines := _lines(section, group))]
    if not compared:
        return None
    metric, looks = section.metric, section.looks()
    baseline = next(row.label for row in section.rows if row.id == section.table.spec.baseline)
    most = max(len(lines) for _, lines in compared)
    with style():
        figure, [axes] = panels(1, len(compared), height=0.6 + 0.22 * most)
        for panel, (group, lines) in zip(axes, compared, strict=True):
            panel.axvline(0, color="0.3", lw=0.8)
            for place, line in enumerate(lines):
                score = line.scores[metric.key]
                d = score.difference
                assert d is not None
                if d.low is not None and d.high is not None:
                    look = {"color": looks[line.row.id]["color"], "linestyle": ":" if d.models_only else "-"}
                    panel.plot([d.low, d.high], [place, place], lw=1.5, **look)
                look = {**looks[line.row.id], "linestyle": ""}
                if not score.significant:
                    look["markerfacecolor"] = "white"
                panel.plot([d.estimate], [place], **look)
            panel.set_yticks(range(len(lines)), [line.row.label for line in lines])
            panel.invert_yaxis()
            unit = f" ({metric.difference_unit})" if metric.difference_unit else ""
            panel.set(xlabel=f"Δ {metric.label}{unit}", title=group.title, ylim=(len(lines) - 0.5, -0.5))
    side = "right" if metric.higher_is_better else "left"
    # Where rows are looked at after each seed, intervals and tests are corrected for that already.
    interval, corrected = (
        ("an interval of 95 % for all looks and comparisons together", "corrected for all of these")
        if section.table.spec.rounds
        else ("95 % interval", "after Holm's correction")
    )
    caption = (
        f"Difference in {metric.label} to {baseline} with {interval}; better is to the {side}. "
        f"Filled: significant at 5 % {corrected}."
    )
    if any(d and d.models_only for d in _differences(section)):
        caption += " Dotted: interval over test examples, of this trained model only."
    return Plot("gains", "Gain over the baseline", caption, figure)


def _differences(section: Section) -> list[Difference | None]:
    return [line.scores[section.metric.key].difference for line in section.table.lines]


def _lines(section: Section, group: Group) -> list[Line]:
    return [line for line in group.lines if line.scores[section.metric.key].difference is not None]
