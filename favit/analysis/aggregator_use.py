"""Does a trained FaViT use its aggregator? ``python -m favit.analysis.aggregator_use RUN [RUN ...] --data DATA``.

Each RUN is the folder of a finished run of FaViT with its weights kept. The test images are scored by the trained
model as it is, and again, without any training, with what fuses its windows changed in all layers at once:

- swapped for each other aggregator, in its default settings. One with weights of its own cannot be swapped in without
  training them; it has a row that says so;
- ``zero``, one of these, takes the fused tokens away;
- ``shuffled`` gives each image the fused tokens of another one, drawn at random: what is left of the accuracy does
  not need to know which image the windows are of.

A model whose accuracy stays whatever is done to its fused tokens does not use them, and a gain of its aggregator is
not owed to what these hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from favit.analysis import _command, _figures
from favit.analysis._trained_images import Trained, load
from favit.analysis.names import AGGREGATOR_USE, AS_TRAINED, SHUFFLED
from favit.components import registry
from favit.models._fasa import FaSA

HAS_WEIGHTS = "has weights and cannot be swapped in without training"

Rows = list[dict[str, Any]]
Change = Callable[[FaSA, int], nn.Module]  # a layer and the number of its group -> what fuses instead


class Shuffled(nn.Module):
    """Fuses as ``inner`` does and hands each image the tokens of the one before it in the batch."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, samples: Tensor, *rest: Any) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        return self.inner(samples, *rest).roll(1, dims=0)


def has_weights(name: str) -> bool:
    """Whether an aggregator has parameters, which training would have to find."""
    return any(True for _ in registry.load("aggregators", name).Aggregator(2, 1, 2).parameters())


def swapped_for(name: str) -> Change:
    """Another aggregator in its default settings, for the same windows."""

    def change(layer: FaSA, group: int) -> nn.Module:
        windows: Any = layer.windows[group]
        rows, columns = windows.grid(windows.size)
        made_anew: nn.Module = registry.load("aggregators", name).Aggregator(
            layer.head_dim, layer.heads, rows * columns
        )
        return made_anew.to(windows.rows.device).eval()

    return change


def changes(trained_with: str) -> Iterator[tuple[str, Change | None]]:
    """The changes made to the fused tokens, by name; None for those that are impossible."""
    yield AS_TRAINED, lambda layer, group: layer.aggregators[group]
    for name in registry.names("aggregators"):
        if name != trained_with:
            yield name, None if has_weights(name) else swapped_for(name)
    yield SHUFFLED, lambda layer, group: Shuffled(layer.aggregators[group])


@contextmanager
def changed(model: nn.Module, change: Change) -> Iterator[None]:
    """The model with what fuses its windows changed in all layers, while the context lasts."""
    layers = [module for module in model.modules() if isinstance(module, FaSA)]
    before = [layer.aggregators for layer in layers]
    for layer in layers:
        layer.aggregators = nn.ModuleList(change(layer, g) for g in range(layer.groups))
    try:
        yield
    finally:
        for layer, aggregators in zip(layers, before, strict=True):
            layer.aggregators = aggregators


def measure(trained: Trained, count: int = 0) -> Rows:
    """One row a change: accuracy on ``count`` test images (0: all), and how far predictions and logits move.

    ``logits_moved_percent`` is the norm of the difference to the logits as trained, over the norm of these.
    """
    possible = {name: change for name, change in changes(trained.run["aggregator"]) if change}
    totals = {name: torch.zeros(4, dtype=torch.float64) for name in possible}
    for x, labels in trained.batches(count):
        logits = {}
        for name, change in possible.items():
            with changed(trained.model, change):
                logits[name] = trained.logits(x)
            totals[name] += _sums(logits[name], logits[AS_TRAINED], labels)
    images = len(trained.data.test_labels[: count or None])
    base = float(totals[AS_TRAINED][0])
    return [
        _row(trained, name, images, totals[name].tolist() if change else None, base)
        for name, change in changes(trained.run["aggregator"])
    ]


def _sums(logits: Tensor, as_trained: Tensor, labels: Tensor) -> Tensor:
    """Right, predicted otherwise than as trained, squared norms of the difference and of the logits as trained."""
    predicted = logits.argmax(1)
    parts = (
        (predicted == labels).sum(),
        (predicted != as_trained.argmax(1)).sum(),
        (logits.double() - as_trained.double()).square().sum(),
        as_trained.double().square().sum(),
    )
    return torch.stack([part.double().cpu() for part in parts])


def _row(trained: Trained, name: str, images: int, sums: list[float] | None, base: float) -> dict[str, Any]:
    run = trained.run
    row: dict[str, Any] = {
        "run": str(trained.folder),
        "dataset": run["dataset"],
        "model": run["model"],
        "trained_with": run["aggregator"],
        "seed": run["seed"],
        "fused_by": name,
        "images": images,
    }
    scores: Mapping[str, Any] = dict.fromkeys(
        ("top1", "top1_change", "changed_percent", "logits_moved_percent"), ""
    )
    if sums is not None:
        right, otherwise, moved, norm = sums
        scores = {
            "top1": 100 * right / images,
            "top1_change": 100 * (right - base) / images,
            "changed_percent": 100 * otherwise / images,
            "logits_moved_percent": 100 * (moved / norm) ** 0.5 if norm else 0.0,
        }
    return {**row, **scores, "recorded_top1": trained.scores["top1"], "note": "" if sums else HAS_WEIGHTS}


def figure_of(rows: Rows) -> Figure:
    """Change of top-1 by change of the fused tokens, a mark a run."""
    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    panel = figure.subplots()
    shown = [row for row in rows if row["top1"] != "" and row["fused_by"] != AS_TRAINED]
    names = list(dict.fromkeys(row["fused_by"] for row in shown))
    trained = list(dict.fromkeys(row["trained_with"] for row in rows))
    markers = "os^DvPX<>"
    for place, name in enumerate(trained):
        here = [row for row in shown if row["trained_with"] == name]
        panel.plot(
            [names.index(row["fused_by"]) + 0.08 * (place - (len(trained) - 1) / 2) for row in here],
            [row["top1_change"] for row in here],
            linestyle="none",
            marker=markers[place % len(markers)],
            color=_figures.COLOURS[place % len(_figures.COLOURS)],
            label=f"trained with {name}",
        )
    panel.axhline(0, color="black", linewidth=0.5)
    panel.set_xticks(range(len(names)), names, fontsize=7, rotation=20)
    panel.set_ylabel("change of top-1 (points)", fontsize=8)
    panel.legend(fontsize=6)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Write figure and CSV; 1 and one line on stderr where a run or its data will not do."""
    chosen = _command.parser("aggregator_use", __doc__).parse_args(arguments)
    device = _command.device(chosen)
    return _command.write(
        "aggregator_use",
        AGGREGATOR_USE,
        chosen,
        lambda folder: measure(load(folder, chosen.data, device), chosen.images),
        figure_of,
    )


if __name__ == "__main__":
    sys.exit(main())
