"""A figure as PDF and PNG beside its numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from favit.files import atomic_path, write_atomic

FOLDER = Path("results/analysis")
_DPI = 160
# Dates would make equal figures differ.
_WITHOUT_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {}}


def write(folder: Path, name: str, figure: Figure, rows: Iterable[Mapping[str, Any]]) -> list[Path]:
    """Write ``name.pdf``, ``name.png`` and ``name.csv`` and return their paths; floats keep seven digits."""
    written = []
    for kind, metadata in _WITHOUT_DATE.items():
        path = folder / f"{name}.{kind}"
        with atomic_path(path) as temporary:
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
