"""Learned encodings after training: ``python -m favit.analysis.trained_encodings RUN [RUN ...]``.

Each RUN is the folder of a finished run, of FaViT or Informer, with the encoding ``learned`` and its weights kept. For
each of its tables: the Pearson correlation of two positions over all channels, by their distance, beside the same of
every fixed encoding of that size in its default settings and of a learned one before training. Distance is in steps of
a series; on an image it is Euclidean, in tokens, to the nearest whole number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from favit.analysis import _command, _figures
from favit.analysis.position_similarity import correlation
from favit.components import registry
from favit.components.flags import flag
from favit.disk.run_folder import RunFolder
from favit.train import weights

NAME = "encodings-trained"
TRAINED = "learned"
_TABLE = ".encoding.table"  # how the state dicts of both families end the name of a table

Rows = list[dict[str, Any]]


def tables_of(folder: Path) -> dict[str, Tensor]:
    """The trained tables of a run by where they stand: (length, dim) or (rows, cols, dim). ``ValueError`` without."""
    files = RunFolder(folder)
    for path in (files.metrics, files.weights):
        if not path.is_file():
            raise ValueError(f"{path} not found; the run must be trained with keep: weights")
    run = json.loads(files.metrics.read_text())["run"]
    if run["encoding"] != "learned":
        raise ValueError(
            f"{folder} is a run of the encoding {run['encoding']}; give one of the encoding learned"
        )
    found = weights.read(files.weights)
    return {k.removesuffix(_TABLE): v.double() for k, v in found.items() if k.endswith(_TABLE)}


def beside(shape: torch.Size) -> dict[str, Tensor]:
    """Tables of a trained one's shape to compare with: fixed encodings, and a learned one as it begins."""
    *lengths, dim = shape
    series = len(lengths) == 1
    size: dict[str, Any] = {"length": lengths[0]} if series else {"grid": tuple(lengths)}
    found = {}
    for name in registry.names("encodings"):
        fits = flag("encodings", name, "SERIES" if series else "IMAGES")
        if fits and flag("encodings", name, "ADDS_POSITION"):
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(0)
                table = registry.load("encodings", name).Encoding(dim, **size)(*lengths)
            found["learned, untrained" if name == "learned" else name] = table.detach().double().view(shape)
    return found


def by_distance(table: Tensor) -> dict[int, float]:
    """Mean correlation of two positions at each distance that occurs, of (length, dim) or (rows, cols, dim).

    Positions that are the same in all channels have no correlation and are left out.
    """
    places = (
        torch.cartesian_prod(*(torch.arange(n) for n in table.shape[:-1])).view(-1, table.dim() - 1).double()
    )
    distance = torch.cdist(places, places).round().long().flatten()
    matrix = correlation(table.flatten(0, -2)).flatten()
    known = matrix.isfinite()
    totals = torch.zeros(int(distance.max()) + 1, dtype=torch.float64)
    counts = totals.index_add(0, distance[known], torch.ones_like(matrix[known]))
    totals = totals.index_add(0, distance[known], matrix[known])
    return {k: float(totals[k] / counts[k]) for k in range(len(totals)) if counts[k]}


def rows_of(folder: Path) -> Rows:
    """One row a table, encoding and distance."""
    rows = []
    for place, table in tables_of(folder).items():
        for label, encoding in {TRAINED: table, **beside(table.shape)}.items():
            size = " x ".join(map(str, table.shape[:-1]))
            common = {"run": str(folder), "place": place, "positions": size, "encoding": label}
            rows += [{**common, "distance": k, "correlation": r} for k, r in by_distance(encoding).items()]
    return rows


def figure_of(rows: Rows) -> Figure:
    """A panel for each place and size, a line for each encoding; the mean over runs."""
    panels = list(dict.fromkeys((row["place"], row["positions"]) for row in rows))
    columns = min(4, len(panels))
    figure = Figure(figsize=(2.6 * columns + 1, 2.4 * -(-len(panels) // columns) + 0.4), layout="constrained")
    axes = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).flat
    for panel, (place, size) in zip(axes, panels, strict=False):
        here = [row for row in rows if (row["place"], row["positions"]) == (place, size)]
        panel.set_prop_cycle(_figures.LINES)
        for label in dict.fromkeys(row["encoding"] for row in here):
            mine = [row for row in here if row["encoding"] == label]
            x = sorted({row["distance"] for row in mine})
            y = [fmean(row["correlation"] for row in mine if row["distance"] == k) for k in x]
            panel.plot(x, y, label=label, linewidth=1)
        panel.set_title(f"{place} ({size})", fontsize=7)
        panel.set_xlabel("distance of two positions", fontsize=7)
        panel.tick_params(labelsize=6)
    axes[0].set_ylabel("correlation", fontsize=7)
    axes[0].legend(fontsize=6, handlelength=3.5)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Write figure and CSV; 1 and one line on stderr where a run will not do."""
    chosen = _command.parser("trained_encodings", __doc__).parse_args(arguments)
    return _command.write("trained_encodings", NAME, chosen, rows_of, figure_of)


if __name__ == "__main__":
    sys.exit(main())
