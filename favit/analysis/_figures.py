"""A figure as PDF and PNG beside its numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cycler import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure

from favit.disk.files import atomic_path, write_atomic

FOLDER = Path("results/analysis")
_DPI = 160

# Okabe and Ito's colours, told apart by the colour-blind; dashes tell lines apart in grey.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800")
DASHES = ("-", "--", "-.", ":")
LINES = cycler(color=COLOURS) + 2 * cycler(linestyle=DASHES)
# Dates would make equal figures differ.
_WITHOUT_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {}}


def write(folder: Path, name: str, figure: Figure, rows: Iterable[Mapping[str, Any]]) -> list[Path]:
    """Write ``name.pdf``, ``name.png`` and ``name.csv`` and return their paths; floats keep seven digits."""
    written = []
    for kind, metadata in _WITHOUT_DATE.items():
        path = folder / f"{name}.{kind}"
        # TrueType: fonts are embedded as text; publishers refuse matplotlib's own choice.
        with rc_context({"pdf.fonttype": 42}), atomic_path(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=_DPI, metadata=metadata, bbox_inches="tight")
        written.append(path)
    write_atomic(folder / f"{name}.csv", as_csv(rows))
    return [*written, folder / f"{name}.csv"]


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of equal keys as CSV text."""
    table = [{key: f"{v:.7g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
