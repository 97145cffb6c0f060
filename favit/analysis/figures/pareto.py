"""Score against cost, with the mechanisms that no other beats in both."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from favit.analysis.figures._base import Plot, Section, legend, panels, style
from favit.analysis.names import written
from favit.analysis.table import Group

Point = tuple[float, float, float, str, str]  # GFLOPs, mean, std, row id, model


def draw(section: Section, data: Path) -> Plot | None:
    """A panel a data set (and horizon); None where fewer than two mechanisms have both score and cost."""
    clouds: dict[str, list[Point]] = {}
    for group in section.table.groups:
        clouds.setdefault(_place(group), []).extend(_points(section, group))
    clouds = {place: points for place, points in clouds.items() if len(points) > 1}
    if not clouds:
        return None
    metric, labels, looks = section.metric, {row.id: row.label for row in section.rows}, section.looks()
    with style():
        figure, [axes] = panels(1, len(clouds), height=2.8)
        for panel, (place, points) in zip(axes, clouds.items(), strict=True):
            front = pareto_front([(x, y) for x, y, *_ in points], metric.higher_is_better)
            reach = max(x for x, *_ in points), front[-1][1]  # what is beaten lies below and to the right
            panel.step(
                *zip(*front, reach, strict=True),
                where="post",
                color="0.6",
                lw=1,
                zorder=0,
                label="Pareto front",
            )
            _scatter(panel, points, labels, looks)
            panel.set(xlabel="FLOPs (G)", title=place, ylabel=metric.title)
            panel.margins(0.15)
            panel.locator_params(axis="x", nbins=5)
        legend(figure, axes[0])
        for panel, points in zip(axes, clouds.values(), strict=True):
            _name_models(figure, panel, _best_of_each_model(points, metric.higher_is_better))
        rings = [
            _ring(figure, panel, points, looks) for panel, points in zip(axes, clouds.values(), strict=True)
        ]
    better = "higher" if metric.higher_is_better else "lower"
    caption = (
        f"{metric.label} ({better} is better) against multiply-accumulates of one input; mean and standard "
        "deviation over seeds. The line joins the mechanisms that no other beats in both."
    )
    if any(rings):
        caption += " Rings around a point: further mechanisms at the same point."
    return Plot("pareto", f"{metric.label} against FLOPs", caption, figure)


def _scatter(
    panel: Axes, points: Sequence[Point], labels: Mapping[str, str], looks: Mapping[str, dict[str, Any]]
) -> None:
    seen = set()
    for x, y, std, row_id, _ in points:
        name = None if row_id in seen else labels[row_id]
        panel.errorbar(x, y, yerr=std or None, capsize=2, linestyle="", label=name, **_marker(looks[row_id]))
        seen.add(row_id)


def _ring(figure: Figure, panel: Axes, points: Sequence[Point], looks: Mapping[str, dict[str, Any]]) -> bool:
    """Draw what a later point hides as a ring around it, each wider than the last; whether there was any."""
    figure.draw_without_rendering()  # decides where on paper a point lies
    at = (
        panel.transData.transform([(x, y) for x, y, *_ in points]) * 72 / figure.dpi
    )  # (points, 2), in points
    hidden = False
    for i, (x, y, _, row_id, _) in enumerate(points):
        above = sum(math.dist(at[i], other) < _NEAR for other in at[i + 1 :])
        if above:
            look = {**_marker(looks[row_id]), "markersize": 4 + 4 * above, "markerfacecolor": "none"}
            panel.plot([x], [y], linestyle="", **look)
            hidden = True
    return hidden


def _name_models(figure: Figure, panel: Axes, points: Sequence[Point]) -> None:
    """Write each model's name above its point; names that would lie over each other become one line."""
    figure.draw_without_rendering()
    together = [[point] for point in sorted(points, key=lambda p: (p[0], p[1]))]
    while True:
        names = [_name(panel, those) for those in together]
        boxes = [name.get_window_extent() for name in names]
        pairs = itertools.combinations(range(len(boxes)), 2)
        clash = next(((i, j) for i, j in pairs if boxes[i].overlaps(boxes[j])), None)
        if clash is None:
            return
        for name in names:
            name.remove()
        together[clash[0]] += together.pop(clash[1])


def _name(panel: Axes, points: Sequence[Point]) -> Annotation:
    """The models' names at the first of their points; several are written towards the middle, where there is room."""
    x, y, std, *_ = points[0]
    across = panel.transAxes.inverted().transform(panel.transData.transform((x, y)))[0]
    several = len(points) > 1
    side = "left" if several and across < 1 / 3 else "right" if several and across > 2 / 3 else "center"
    text = ", ".join(model for *_, model in points)
    return panel.annotate(text, (x, y + std), xytext=(0, 5), textcoords="offset points", ha=side)


_NEAR = 2.5  # points of print, of markers four wide


def _marker(look: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in look.items() if k != "linestyle"}


def pareto_front(points: Sequence[tuple[float, float]], higher_is_better: bool) -> list[tuple[float, float]]:
    """The (cost, score) pairs for which no other is at least as cheap and better, by rising cost."""
    sign = 1 if higher_is_better else -1
    front: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda p: (p[0], -sign * p[1])):
        if not front or sign * score > sign * front[-1][1]:
            front.append((cost, score))
    return front


def _best_of_each_model(points: Sequence[Point], higher_is_better: bool) -> list[Point]:
    """Where models are told apart by name: the best point of each; nothing if there is one model."""
    best: dict[str, Point] = {}
    for point in sorted(points, key=lambda p: p[1], reverse=higher_is_better):
        best.setdefault(point[4], point)
    return list(best.values()) if len(best) > 1 else []


def _place(group: Group) -> str:
    """What a group is about, its model left aside: models share a panel."""
    others = [f"{k} {v}" for k, v in group.key.items() if k not in ("dataset", "model")]
    return ", ".join([written(group.key.get("dataset", "")), *others])


def _points(section: Section, group: Group) -> list[Point]:
    found = []
    for line in group.lines:
        score = line.scores[section.metric.key]
        if score.mean is not None and line.cost is not None:
            model = written({**group.key, **line.row.values}.get("model", ""))
            found.append((line.cost.macs / 1e9, score.mean, score.std or 0.0, line.row.id, model))
    return found
