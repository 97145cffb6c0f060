"""One self-contained page with all tables and figures of a study."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from favit.analysis.figures import (
    aggregator_use,
    encodings,
    errors,
    forecasts,
    gains,
    learning_curves,
    pareto,
    tokens,
)
from favit.analysis.figures._base import Plot, Section
from favit.analysis.names import AGGREGATOR_USE
from favit.analysis.page.behind import behind
from favit.analysis.page.html import table_html
from favit.analysis.render import template
from favit.analysis.results import RunResult
from favit.disk.files import atomic_path, write_atomic
from favit.results.tables import ANALYSES

__all__ = ["Section", "write"]

_FIGURES: tuple[Callable[[Section, Path], Plot | None], ...] = (
    gains.draw,
    pareto.draw,
    learning_curves.draw,
    errors.draw,
    forecasts.draw,
    tokens.draw,
)


@dataclass(frozen=True)
class Provenance:
    """The origin of a sweep's results: when and where they were made, by which code, at what cost."""

    runs: str
    when: str
    devices: tuple[str, ...]
    device_hours: float
    commits: tuple[str, ...]
    versions: tuple[str, ...]


def write(sections: Sequence[Section], folder: Path, data: Path, title: str = "Report") -> Path:
    """Write ``folder/report.html``, each figure as ``folder/figures/<sweep>-<figure>.pdf``, each table as a page of
    its own, ``folder/report/<sweep>.html``.

    data: root of the data sets. Figures that need data, weights or analyses that are not there are left out, and the
    page says so.
    """
    chapters = []
    # Snakemake expects it, also of a study that has not begun.
    (folder / "report").mkdir(parents=True, exist_ok=True)
    for section in sections:
        drawn = (*(draw(section, data) for draw in _FIGURES), aggregator_use.draw(section, folder / ANALYSES))
        plots = [plot for plot in drawn if plot is not None]
        for plot in plots:
            _save(plot, folder, f"{section.table.spec.name}-{plot.name}")
        name, lines = section.table.spec.name, behind(section)
        alone = template("table_page.html.j2").render(name=name, table=table_html(section.table))
        write_atomic(folder / "report" / f"{name}.html", alone)
        chapters.append(
            {
                "name": name,
                "table": table_html(section.table, lines),
                "behind": lines,
                "provenance": provenance(section.results),
                "figures": [_embedded(plot) for plot in plots],
                "absent": _absent(section, plots),
            }
        )
    general = encodings.draw()
    _save(general, folder, general.name)
    hours = sum(provenance(s.results).device_hours for s in sections)
    page = template("report.html.j2").render(
        title=title,
        chapters=chapters,
        general=_embedded(general),
        averaged=sum(s.table.averaged for s in sections),
        asked=sum(s.table.asked for s in sections),
        hours=hours,
    )
    path = folder / "report.html"
    write_atomic(path, page)
    return path


def provenance(results: Sequence[RunResult]) -> Provenance:
    """The provenance of all runs with metrics, valid or not: they all had a cost."""
    metrics = [run.metrics for run in results if run.metrics]
    times = sorted(m[key] for m in metrics for key in ("started", "finished") if m.get(key))
    hardware = [m.get("hardware", {}) for m in metrics]
    versions = {f"{k} {v}" for m in metrics for k, v in m.get("versions", {}).items()}
    return Provenance(
        runs=f"{len(metrics)} of {len(results)}",
        when=f"{_day(times[0])} to {_day(times[-1])}" if times else "",
        devices=tuple(sorted({", ".join(h.get("gpus") or []) or h.get("cpu", "") for h in hardware} - {""})),
        device_hours=sum(m.get("device_seconds") or 0.0 for m in metrics) / 3600,
        commits=tuple(sorted({str(m["commit"])[:12] for m in metrics if m.get("commit")})),
        versions=tuple(sorted(versions)),
    )


def _day(stamp: str) -> str:
    return datetime.fromisoformat(stamp).strftime("%Y-%m-%d %H:%M")


def _save(plot: Plot, folder: Path, name: str) -> None:
    with atomic_path(folder / "figures" / f"{name}.pdf") as path:
        plot.save_pdf(path)


def _embedded(plot: Plot) -> dict[str, str]:
    source = base64.b64encode(plot.svg().encode()).decode()
    return {
        "title": plot.title,
        "caption": plot.caption,
        "source": f"data:image/svg+xml;base64,{source}",
        "kind": "pictures" if plot.pictures else "lines",
    }


_NEEDS = {  # by task: the figure that needs data and weights
    "forecasting": ("forecasts", "Forecast against truth"),
    "classification": ("tokens", "Tokens that ProbSparse selects"),
}


def _absent(section: Section, plots: Sequence[Plot]) -> str:
    """Which figures of this sweep's task could not be drawn, and what they need."""
    name, title = _NEEDS[section.task]
    there, said = {plot.name for plot in plots}, []
    if name not in there:
        said.append(f"“{title}” needs the data set on this machine and runs trained with keep: weights.")
    if section.task == "classification" and AGGREGATOR_USE not in there:
        said.append(
            "“How trained models use their aggregators” is missing; make it with “snakemake aggregator_use”."
        )
    return " ".join(said)
