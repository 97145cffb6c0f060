"""How trained models use their aggregators: accuracy after a swap, for each row of a table.

Drawn from what ``favit.analysis.aggregator_use`` has written; scoring every model anew takes too long for a report.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from favit.analysis.figures._base import WIDTH, Plot, Section, style
from favit.analysis.legend import MINUS
from favit.analysis.names import AGGREGATOR_USE, AS_TRAINED, SHUFFLED
from favit.analysis.table import Group, Row

Measured = Mapping[str, Mapping[str, Mapping[str, str]]]  # folder of a run -> what fuses -> the CSV's row

_SHOWN_LAST = ("zero", SHUFFLED)
_TITLES = {"zero": "none (zero)", SHUFFLED: "another image's"}


def draw(section: Section, analyses: Path) -> Plot | None:
    """A row for each of the table's and its runs that were measured; None if there is none.

    ``analyses`` is the folder of the analyses' files.
    """
    if section.task != "classification":
        return None
    measured = _read(analyses / f"{AGGREGATOR_USE}.csv")
    lines = []
    for group in section.table.groups:
        for row in section.rows:
            runs = _measured_runs(section, group, row, measured)
            if runs:
                label = f"{row.label} ({group.title})" if group.title else row.label
                lines.append((f"{label}, n = {len(runs)}", runs))
    return _plot(lines) if lines else None


def _read(file: Path) -> Measured:
    if not file.is_file():
        return {}
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            # A run's folder is named after its fingerprint: what was measured of other code or settings is not found.
            found.setdefault(Path(row["run"]).name, {})[row["fused_by"]] = row
    return found


def _measured_runs(
    section: Section, group: Group, row: Row, measured: Measured
) -> list[Mapping[str, Mapping[str, str]]]:
    folders = [run.predictions.parent.name for run in section.counted(group, row) if run.predictions]
    return [measured[folder] for folder in folders if folder in measured]


def _plot(lines: Sequence[tuple[str, list[Mapping[str, Mapping[str, str]]]]]) -> Plot:
    names = {name for _, runs in lines for run in runs for name in run if run[name]["top1"]}
    swaps = sorted(names - {AS_TRAINED, *_SHOWN_LAST})
    columns = [AS_TRAINED, *swaps, *(name for name in _SHOWN_LAST if name in names)]
    cells = [[_cell(runs, name) for name in columns] for _, runs in lines]
    with style():
        figure = Figure(figsize=(WIDTH, 0.45 * len(lines) + 0.7), layout="constrained")
        panel = figure.subplots()
        panel.set_axis_off()
        table = panel.table(
            cellText=cells,
            rowLabels=[label for label, _ in lines],
            colLabels=[_TITLES.get(name, name) for name in columns],
            cellLoc="center",
            bbox=Bbox.unit(),
        )
        table.auto_set_font_size(False)
        table.set_fontsize(5.5)
        for cell in table.get_celld().values():
            cell.set_linewidth(0.3)
    images = sorted({int(run[AS_TRAINED]["images"]) for _, runs in lines for run in runs})
    caption = (
        "Top-1 (%) of each trained row as it is, and how many points it changes when, without training, its windows "
        "are fused by another aggregator, by none, or its fused tokens are those of another image; in brackets how "
        "far that moves the logits (norm of the change over their norm). Mean over n seeds, "
        f"{' or '.join(f'{n:,}' for n in images)} test images. Aggregators with weights of their own cannot be "
        "swapped in. A row that nothing changes does not use its fused tokens."
    )
    return Plot(AGGREGATOR_USE, "How trained models use their aggregators", caption, figure)


def _cell(runs: Sequence[Mapping[str, Mapping[str, str]]], name: str) -> str:
    found = [run[name] for run in runs if run.get(name, {}).get("top1")]
    if not found:
        return ""
    if name == AS_TRAINED:
        return f"{fmean(float(row['top1']) for row in found):.2f}"
    change = fmean(float(row["top1_change"]) for row in found)
    moved = fmean(float(row["logits_moved_percent"]) for row in found)
    return f"{change:+.2f}".replace("-", MINUS) + f"\n({moved:.2g} %)"
