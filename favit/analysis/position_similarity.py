"""The similarity of two positions by distance and encoding: ``python -m favit.analysis.position_similarity``.

Three figures with their numbers:

- ``encodings-bilinear``: for random W of independent N(0, 1/d) entries, the mean of ``p_i' W p_j``
  (zero, because W has mean zero: shown with its interval over draws), its root mean square
  (``|p_i| |p_j| / sqrt(d)``: the lengths of the vectors and nothing else), and the mean of
  ``p_i' W' W p_j``, which is ``p_i' p_j``;
- ``encodings-correlation``: Pearson correlation of positions over all channels and by band;
- ``encodings-claim``: the claim that sinusoids of high dimension correlate above 0.999 even far
  apart, by dimension and by the share of leading, fast channels that are left out.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from favit.analysis import _figures
from favit.components import declared, registry
from favit.components.flags import flag
from favit.components.setting import Setting
from favit.encodings.sinusoidal import Encoding as Sinusoidal
from favit.results import made

CLAIM = 0.999
BANDS = {
    "all": (0.0, 1.0),
    "first half": (0.0, 0.5),
    "last half": (0.5, 1.0),
    "first quarter": (0.0, 0.25),
    "second quarter": (0.25, 0.5),
    "third quarter": (0.5, 0.75),
    "last quarter": (0.75, 1.0),
}
_Z95 = 1.959964

Rows = list[dict[str, Any]]


def tables(dim: int, length: int, seed: int = 0) -> dict[str, Tensor]:
    """Every encoding that adds position to a series, in each choice of its settings: label to (length, dim) float64.

    Learned ones are as initialised from ``seed``, before any training.
    """
    found = {}
    for name in registry.names("encodings"):
        module = registry.load("encodings", name)
        if not (flag("encodings", name, "SERIES") and flag("encodings", name, "ADDS_POSITION")):
            continue
        for choice in _choices(declared.settings("encodings", name)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                encoding = module.Encoding(dim, length=length, **choice)
            untrained = any(True for _ in encoding.parameters())
            said = (k if v is True else f"{k}={v}" for k, v in choice.items() if v is not False)
            notes = [*said, *(["untrained"] if untrained else [])]
            label = f"{name} ({', '.join(notes)})" if notes else name
            found[label] = encoding(length).detach().double()
    return found


def _choices(settings: Mapping[str, Setting]) -> Iterator[dict[str, Any]]:
    values_of = {name: (False, True) if s.kind is bool else s.choices for name, s in settings.items()}
    listed = {name: values for name, values in values_of.items() if values}
    for values in product(*listed.values()):
        yield dict(zip(listed, values, strict=True))


def band(table_ld: Tensor, first: float, last: float) -> Tensor:
    """The channels from share ``first`` to share ``last``: (L, part of d)."""
    dim = table_ld.shape[1]
    return table_ld[:, round(first * dim) : round(last * dim)]


def correlation(table_ld: Tensor) -> Tensor:
    """Pearson correlation over channels of each two positions: (L, L); NaN where a position is constant."""
    centred = table_ld - table_ld.mean(1, keepdim=True)
    scale = centred.norm(dim=1)
    # A constant position has no correlation; rounding must not give it one.
    scale = torch.where(scale > 1e-9 * table_ld.norm(dim=1), scale, torch.nan)
    return (centred @ centred.T / torch.outer(scale, scale)).clamp(-1, 1)


@dataclass(frozen=True)
class Moments:
    """Over draws of W, for each distance 0..L-1: each (L,)."""

    mean: Tensor
    half_width: Tensor  # of the 95 % interval of the mean
    rms: Tensor
    gram: Tensor
    gram_half_width: Tensor


def bilinear(table_ld: Tensor, draws: int, seed: int = 0) -> Moments:
    """Moments of ``p_i' W p_j`` and of ``p_i' W' W p_j``, averaged over the pairs of each distance."""
    generator = torch.Generator().manual_seed(seed)
    dim = table_ld.shape[1]
    means, squares, grams = [], [], []
    for _ in range(draws):
        w_dd = torch.randn(dim, dim, dtype=torch.float64, generator=generator) / math.sqrt(dim)
        projected_ld = table_ld @ w_dd.T  # rows W p_j
        form_ll = table_ld @ projected_ld.T
        means.append(by_distance(form_ll))
        squares.append(by_distance(form_ll.square()))
        grams.append(by_distance(projected_ld @ projected_ld.T))
    mean, gram = torch.stack(means), torch.stack(grams)
    return Moments(
        mean=mean.mean(0),
        half_width=_half_width(mean),
        rms=torch.stack(squares).mean(0).sqrt(),
        gram=gram.mean(0),
        gram_half_width=_half_width(gram),
    )


def by_distance(matrix_ll: Tensor) -> Tensor:
    """Mean along each diagonal, from the main one upwards: (L,)."""
    return torch.stack([matrix_ll.diagonal(k).mean() for k in range(len(matrix_ll))])


def _half_width(samples_nl: Tensor) -> Tensor:
    return _Z95 * samples_nl.std(0) / math.sqrt(len(samples_nl))


def bilinear_rows(encodings: dict[str, Tensor], draws: int) -> Rows:
    """One row an encoding and distance; ``expected`` columns are the closed forms."""
    rows = []
    for label, table in encodings.items():
        moments, dot = bilinear(table, draws), by_distance(table @ table.T)
        square = table.square().sum(1)
        expected_rms = by_distance(torch.outer(square, square)).div(table.shape[1]).sqrt()
        for k in range(len(table)):
            mean, width = float(moments.mean[k]), float(moments.half_width[k])
            gram, gram_width = float(moments.gram[k]), float(moments.gram_half_width[k])
            rows.append(
                {
                    "encoding": label,
                    "distance": k,
                    "pairs": len(table) - k,
                    "draws": draws,
                    "mean": mean,
                    "mean_low": mean - width,
                    "mean_high": mean + width,
                    "rms": float(moments.rms[k]),
                    "rms_expected": float(expected_rms[k]),
                    "gram": gram,
                    "gram_low": gram - gram_width,
                    "gram_high": gram + gram_width,
                    "gram_expected": float(dot[k]),
                }
            )
    return rows


def correlation_rows(encodings: dict[str, Tensor]) -> Rows:
    """One row an encoding, band and distance: mean, least and greatest correlation over the pairs."""
    rows = []
    for (label, table), (name, edges) in product(encodings.items(), BANDS.items()):
        matrix = correlation(band(table, *edges))
        for k in range(len(table)):
            pairs = matrix.diagonal(k)
            pairs = pairs[pairs.isfinite()]
            values = (pairs.mean(), pairs.min(), pairs.max()) if len(pairs) else (math.nan,) * 3
            summary = dict(zip(("mean", "least", "greatest"), map(float, values), strict=True))
            rows.append({"encoding": label, "band": name, "distance": k, "pairs": len(pairs), **summary})
    return rows


def claim_rows(dims: tuple[int, ...], far: int) -> Rows:
    """Sinusoids: correlation of positions 0 and ``far`` without the leading share of channels."""
    rows = []
    for dim, percent in product(dims, range(0, 100, 5)):
        kept = band(Sinusoidal(dim).compute(far + 1), percent / 100, 1.0)
        if kept.shape[1] > 2:
            r = float(correlation(kept[[0, far]])[0, 1])
            rows.append({"dim": dim, "left_out_percent": percent, "distance": far, "correlation": r})
    return rows


def claim_summary(rows: Rows) -> Iterator[str]:
    """For each dimension, where the claim begins to hold."""
    for dim in sorted({row["dim"] for row in rows}):
        of_dim = [row for row in rows if row["dim"] == dim]
        holds = [row["left_out_percent"] for row in of_dim if row["correlation"] > CLAIM]
        whole = of_dim[0]["correlation"]
        where = f"above {CLAIM} without the first {holds[0]} % of the channels" if holds else "nowhere above"
        yield f"sinusoids of dimension {dim}: {whole:.3f} over all channels, {where}"


def bilinear_figure(rows: Rows) -> Figure:
    """Three panels over distance: mean with its interval, root mean square, Gram."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    titles = (
        "mean of $p_i' W p_j$, 95 % interval",
        "root mean square of $p_i' W p_j$",
        "mean of $p_i' W' W p_j$",
    )
    for panel, title in zip(panels, titles, strict=True):
        panel.set(title=title, xlabel="distance $j - i$")
        panel.set_prop_cycle(_figures.LINES)
    for label in dict.fromkeys(row["encoding"] for row in rows):
        part = [row for row in rows if row["encoding"] == label]
        x = [row["distance"] for row in part]
        for panel, key in zip(panels, ("mean", "rms", "gram"), strict=True):
            (line,) = panel.plot(x, [row[key] for row in part], label=label, linewidth=1)
            if key != "rms":
                low, high = ([row[f"{key}_{end}"] for row in part] for end in ("low", "high"))
                panel.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    panels[1].set_yscale("log")
    panels[2].set_yscale("symlog")
    panels[0].legend(fontsize=7, handlelength=3.5)
    return figure


def correlation_figure(encodings: dict[str, Tensor]) -> Figure:
    """A matrix for each encoding (row) and band (column), as wide as a page.

    Colours rise from dark to light: printed grey, -1 and 1 stay apart.
    """
    figure = Figure(figsize=(7.0, 1.05 * len(encodings) + 0.2), layout="constrained")
    panels = figure.subplots(len(encodings), len(BANDS), squeeze=False)
    for panel, ((label, table), (name, edges)) in zip(
        panels.flat, product(encodings.items(), BANDS.items()), strict=True
    ):
        image = panel.imshow(
            correlation(band(table, *edges)).numpy(), vmin=-1, vmax=1, cmap="cividis", interpolation="none"
        )
        panel.set(xticks=[], yticks=[])
        if panel in panels[0]:
            panel.set_title(name, fontsize=7)
        if panel in panels[:, 0]:
            panel.set_ylabel(label.replace(" (", "\n("), fontsize=6)
    bar = figure.colorbar(image, ax=panels, shrink=0.6, aspect=30, pad=0.01)
    bar.set_label("correlation of positions", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    return figure


def claim_figure(rows: Rows) -> Figure:
    """A line for each dimension over the share of channels left out."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    panel = figure.subplots()
    panel.set_prop_cycle(_figures.LINES)
    for dim in sorted({row["dim"] for row in rows}):
        part = [row for row in rows if row["dim"] == dim]
        panel.plot(
            [r["left_out_percent"] for r in part], [r["correlation"] for r in part], label=f"d = {dim}"
        )
    panel.axhline(CLAIM, color="black", linestyle=":", linewidth=1, label=str(CLAIM))
    distance = rows[0]["distance"]
    panel.set(xlabel="leading channels left out (%)", ylabel=f"correlation of positions 0 and {distance}")
    panel.legend(fontsize=7, handlelength=3.5)
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Write the three figures and their CSVs, print where the claim holds."""
    parser = argparse.ArgumentParser(
        prog="python -m favit.analysis.position_similarity", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=_figures.FOLDER, help="folder (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=512, help="channels (default: %(default)s)")
    parser.add_argument("--length", type=int, default=100, help="positions (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=200, help="random matrices W (default: %(default)s)")
    parser.add_argument(
        "--digest", default="", help="digest of the inputs, recorded beside the figures (set by the workflow)"
    )
    chosen = parser.parse_args(arguments)
    encodings = tables(chosen.dim, chosen.length)
    bilinears = bilinear_rows(encodings, chosen.draws)
    claims = claim_rows((64, 128, 256, 512, 1024, 2048, 4096), far=chosen.length - 1)
    written = [
        *_figures.write(chosen.out, "encodings-bilinear", bilinear_figure(bilinears), bilinears),
        *_figures.write(
            chosen.out, "encodings-correlation", correlation_figure(encodings), correlation_rows(encodings)
        ),
        *_figures.write(chosen.out, "encodings-claim", claim_figure(claims), claims),
    ]
    if chosen.digest:
        made.record(chosen.out / "position_similarity.json", chosen.digest, written)
    print(*claim_summary(claims), *written, sep="\n")


if __name__ == "__main__":
    main()
