"""The data and the style of all figures: sizes, colours, fonts and files."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from favit.analysis._figures import COLOURS, DASHES
from favit.analysis.results import METRICS, Metric, RunResult
from favit.analysis.table import Group, Row, Table

WIDTH = 7.0  # inches: the text width of a two-column paper
_DPI = 200  # of photographs in figures; all else is vectors

# Besides the colours and dashes of all figures, to tell rows apart in grey.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")

_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.handlelength": 3.5,
    "pdf.fonttype": 42,  # TrueType: embedded, and text stays text
    "svg.hashsalt": "favit",  # the same figure is the same file
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Section:
    """One sweep in figures and in the report: its table and the runs behind it."""

    table: Table
    results: Sequence[RunResult]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Rows of the table in its order."""
        return self.table.spec.rows

    @property
    def task(self) -> str:
        """``classification`` or ``forecasting``."""
        return self.table.spec.task

    @property
    def metric(self) -> Metric:
        """The score that figures show."""
        return METRICS[self.task][0]

    def counted(self, group: Group, row: Row) -> list[RunResult]:
        """Runs that count for a row in a group, by seed."""
        key = self.table.spec.key(group.key)
        chosen = [
            run
            for run in self.results
            if run.row_id == row.id
            and self.table.spec.key(run.group) == key
            and run.score(self.metric.key) is not None
        ]
        return sorted(chosen, key=lambda run: run.seed)

    def looks(self) -> Mapping[str, dict[str, Any]]:
        """Colour, line style and marker of each row, the same in all figures of the sweep."""
        cycle = zip(
            itertools.cycle(COLOURS), itertools.cycle(DASHES), itertools.cycle(_MARKERS), strict=False
        )
        return {
            row.id: {"color": colour, "linestyle": dash, "marker": marker}
            for row, (colour, dash, marker) in zip(self.rows, cycle, strict=False)
        }


@dataclass(frozen=True)
class Plot:
    """A finished figure. ``name`` is part of its file's name, ``caption`` says what is seen and how it was made.

    pictures: whether what is dark in it means something, as in photographs: it stays so on a dark page.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    pictures: bool = False

    def svg(self) -> str:
        """The figure as SVG text."""
        out = io.StringIO()
        with style():
            self.figure.savefig(out, format="svg", dpi=_DPI, metadata={"Date": None})
        return out.getvalue()

    def save_pdf(self, path: Path) -> None:
        """Write the figure for the paper."""
        with style():
            self.figure.savefig(path, format="pdf", dpi=_DPI, metadata={"CreationDate": None})


@contextmanager
def style() -> Iterator[None]:
    """The context in which all figures are drawn and written."""
    with matplotlib.rc_context(_STYLE):
        yield


def panels(rows: int, columns: int, height: float = 2.3, **shared: Any) -> tuple[Figure, list[list[Axes]]]:
    """A figure as wide as the text; ``height`` inches per row of panels."""
    figure = Figure(figsize=(WIDTH, height * rows + 0.5), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared).tolist()


def legend(figure: Figure, axes: Axes) -> None:
    """One legend below all panels, in as many columns as its longest label leaves room for."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = int(WIDTH / (0.7 + 0.06 * max(map(len, labels))))  # inches of a handle and of a letter
        figure.legend(
            handles, labels, loc="outside lower center", ncols=max(1, min(4, columns)), frameon=False
        )
