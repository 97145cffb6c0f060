"""The distance between the samples that ProbSparse keeps: ``python -m favit.analysis.kept_keys RUN [RUN ...]``.

Each RUN is the folder of a finished run of FaViT with the aggregator ``probsparse`` and its weights kept. For each
layer with several windows, over test images and heads: the mean distance of two of the 49 kept samples, on the map in
tokens and between their keys, beside the same of 49 samples drawn at random from the same windows. A ratio below one
says that what is kept lies together. ``distinct`` is how many different tokens the 49 are of: where a map is padded by
reflection a token is sampled more than once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from favit.aggregators._selection import POSITIONS, by_map, by_window, full
from favit.aggregators.probsparse import Aggregator as ProbSparse
from favit.analysis import _command
from favit.analysis._trained_images import Trained, load
from favit.models._fasa import FaSA

NAME = "kept-keys"
_SEED = 0  # of the random samples that are compared with, of no meaning

Rows = list[dict[str, Any]]


def apart(points_btc: Tensor) -> float:
    """Mean Euclidean distance of two different ones of T points, over all sets: of (..., T, c)."""
    distances = torch.cdist(points_btc.double(), points_btc.double())
    count = points_btc.shape[-2]
    return float(distances.sum((-1, -2)).mean() / (count * (count - 1)))


def kept(aggregator: ProbSparse, inputs: tuple[Any, ...]) -> Tensor | None:
    """What it keeps of what it is called with, see its ``select``; None of a single window, which it keeps whole."""
    samples, queries, key_map, grid = inputs
    return None if samples.shape[3] == 1 else aggregator.select(by_window(samples), queries, key_map, grid)


class Layer:
    """The samples that one layer's ProbSparse keeps, recorded while the model runs."""

    def __init__(self, name: str, fasa: FaSA, group: int) -> None:
        self.name, self.group, self._fasa = name, group, fasa
        self._generator = torch.Generator().manual_seed(_SEED)
        self.found: list[dict[str, float]] = []

    def note(self, aggregator: ProbSparse, inputs: tuple[Any, ...]) -> None:
        """A hook before the aggregator's forward pass."""
        samples, _, key_map, grid = inputs
        kept_bht = kept(aggregator, inputs)
        if kept_bht is None:
            return
        samples_blhc = full(by_window(samples))
        weight, bias = (full(x) for x in key_map())
        keys_bhcl = by_map((samples_blhc @ weight.T + bias).permute(0, 2, 3, 1).flatten(1, 2), grid)
        keys_bhlc = keys_bhcl.unflatten(1, samples_blhc.shape[2:]).transpose(2, 3)
        drawn = torch.rand(*kept_bht.shape[:2], keys_bhlc.shape[2], generator=self._generator)
        drawn_bht = drawn.topk(POSITIONS, dim=2).indices.to(kept_bht.device)
        places_l2 = self._places(grid).to(kept_bht.device)
        one: dict[str, float] = {"images": len(samples)}
        for which, chosen_bht in (("kept", kept_bht), ("random", drawn_bht)):
            index = chosen_bht.unsqueeze(3).expand(-1, -1, -1, keys_bhlc.shape[3])
            places_bht2 = places_l2[chosen_bht]
            one[f"{which}_tokens_apart"] = apart(places_bht2)
            one[f"{which}_keys_apart"] = apart(keys_bhlc.gather(2, index))
            one[f"{which}_distinct"] = _distinct(places_bht2)
        self.found.append({**one, "windows": samples.shape[3]})

    def _places(self, grid: tuple[int, int]) -> Tensor:
        """Row and column of each sample's token, in the order of the map: (L, 2)."""
        windows: Any = self._fasa.windows[self.group]
        assert grid == windows.grid(windows.size)
        return torch.cartesian_prod(windows.rows, windows.columns)


def _distinct(places_bht2: Tensor) -> float:
    sets = places_bht2.flatten(0, 1).cpu().tolist()
    return fmean(len({tuple(place) for place in places}) for places in sets)


def measure(trained: Trained, count: int = 0) -> Rows:
    """One row a layer with several windows, over ``count`` test images (0: all)."""
    layers, hooks = [], []
    for name, module in trained.model.named_modules():
        if isinstance(module, FaSA):
            for group, aggregator in enumerate(module.aggregators):
                layers.append(Layer(name.removesuffix(".attn"), module, group))
                hooks.append(aggregator.register_forward_pre_hook(layers[-1].note))
    try:
        for x, _ in trained.batches(count):
            trained.logits(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [_row(trained, layer) for layer in layers if layer.found]


def _row(trained: Trained, layer: Layer) -> dict[str, Any]:
    weights = [one["images"] for one in layer.found]
    row: dict[str, Any] = {
        "run": str(trained.folder),
        "seed": trained.run["seed"],
        "layer": layer.name,
        "group": layer.group,
        "windows": int(layer.found[0]["windows"]),
        "images": int(sum(weights)),
    }
    for what in ("tokens_apart", "keys_apart", "distinct"):
        kept, drawn = (
            fmean([one[f"{w}_{what}"] for one in layer.found], weights) for w in ("kept", "random")
        )
        row |= {f"kept_{what}": kept, f"random_{what}": drawn, f"{what}_ratio": kept / drawn}
    return row


def rows_of(folder: Path, data: Path, device: torch.device, count: int = 0) -> Rows:
    """The rows of a run. ``ValueError`` if it is not of ProbSparse, or no layer has several windows."""
    trained = load(folder, data, device)
    if trained.run["aggregator"] != "probsparse":
        raise ValueError(
            f"{folder} is a run of the aggregator {trained.run['aggregator']}; give one of probsparse"
        )
    rows = measure(trained, count)
    if not rows:
        raise ValueError(
            f"{folder}: no layer has more than one window, so ProbSparse keeps all samples; give a run on larger images"
        )
    return rows


def figure_of(rows: Rows) -> Figure:
    """Both ratios by layer, mean over runs."""
    figure = Figure(figsize=(7.0, 2.8), layout="constrained")
    panel = figure.subplots()
    places = list(_by_layer(rows))
    for key, label, marker in (("tokens_apart", "on the map", "o"), ("keys_apart", "between keys", "s")):
        panel.plot(
            [fmean(row[f"{key}_ratio"] for row in group) for _, group in places], marker + "--", label=label
        )
    panel.axhline(1, color="black", linewidth=0.5)
    panel.set_xticks(range(len(places)), [name for name, _ in places], fontsize=6, rotation=60)
    panel.set_ylabel("distance of two kept samples,\nrandom ones = 1", fontsize=8)
    panel.legend(fontsize=7)
    return figure


def _by_layer(rows: Rows) -> Iterator[tuple[str, Rows]]:
    named = [(f"{row['layer']}, group {row['group']}", row) for row in rows]
    for name, group in groupby(sorted(named, key=lambda item: item[0]), key=lambda item: item[0]):
        yield name, [row for _, row in group]


def main(arguments: list[str] | None = None) -> int:
    """Write figure and CSV; 1 and one line on stderr where a run or its data will not do."""
    chosen = _command.parser("kept_keys", __doc__).parse_args(arguments)
    device = _command.device(chosen)
    return _command.write(
        "kept_keys",
        NAME,
        chosen,
        lambda folder: rows_of(folder, chosen.data, device, chosen.images),
        figure_of,
    )


if __name__ == "__main__":
    sys.exit(main())
