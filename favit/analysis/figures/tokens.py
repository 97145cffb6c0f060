"""The tokens that ProbSparse selects, drawn over test images, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap

from favit.analysis.figures._base import WIDTH, Plot, Section, panels, style
from favit.analysis.figures._restored import data_of, facts_of, model_of, settings_of
from favit.analysis.results import RunResult
from favit.components.statistics import statistics

_IMAGES = 4


def draw(section: Section, data: Path) -> Plot | None:
    """The first row and group with such an aggregator that kept its weights; None if there is none."""
    if section.task != "classification":
        return None
    for group in section.table.groups:
        for row in section.rows:
            for run in section.counted(group, row)[:1]:
                if (settings_of(run) or {}).get("aggregator") == "probsparse":
                    shown = _shown(run, data)
                    if shown is not None:
                        return _plot(*shown, row.label)
    return None


def _plot(images: np.ndarray, stages: list[tuple[int, np.ndarray]], label: str) -> Plot:
    """Images (N, S, S, 3) and by stage how often each place is selected (N, S, S), as a share of selections."""
    with style():
        figure, axes = panels(1 + len(stages), len(images), height=WIDTH / len(images))
        for panel in (panel for row_of_panels in axes for panel in row_of_panels):
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        axes[0][0].set_ylabel("image")
        for panel, image in zip(axes[0], images, strict=True):
            panel.imshow(image)
        for row_of_panels, (stage, shares) in zip(axes[1:], stages, strict=True):
            row_of_panels[0].set_ylabel(f"stage {stage}")
            for panel, image, share in zip(row_of_panels, images, shares, strict=True):
                # Faint, so that printed grey a dark part of the image is no darker than a selected token.
                panel.imshow(0.8 + 0.2 * image.mean(axis=2), cmap="gray", vmin=0, vmax=1)
                panel.imshow(np.ones_like(share), cmap=_SHADE, vmin=0, vmax=1, alpha=0.9 * share)
    caption = (
        f"{label}: the darker a token, the more of a stage's heads and blocks select it (clear: none, dark: all), on "
        "the first test images of as many classes. Stages with one window select everything and are not shown."
    )
    return Plot("tokens", "Tokens that ProbSparse selects", caption, figure, pictures=True)


_SHADE = ListedColormap(["#8B2500"])


def _shown(run: RunResult, root: Path) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]] | None:
    data = data_of(run, root)
    model = None if data is None else model_of(run, facts_of(run, data))
    if model is None:
        return None
    import torch

    settings = settings_of(run) or {}
    size = settings["image_size"]
    pixels = torch.nn.functional.interpolate(
        data.test_images[_of_different_classes(data.test_labels)] / 255,
        size=(size, size),
        mode=settings["interpolation"],
        antialias=True,
    ).clamp(0, 1)
    chosen = statistics(settings.get("normalise", "dataset"), (data.mean, data.std))
    mean, std = (torch.tensor(x)[:, None, None] for x in chosen)
    stages = _selections(model, (pixels - mean) / std)
    return (pixels.permute(0, 2, 3, 1).numpy(), stages) if stages else None


def _of_different_classes(labels: Any) -> list[int]:
    """Indices of the first image of each of the first classes met."""
    first: dict[int, int] = {}
    for index, label in enumerate(labels.tolist()):
        first.setdefault(label, index)
        if len(first) == _IMAGES:
            break
    return list(first.values())


def _selections(model: Any, images_bchw: Any) -> list[tuple[int, np.ndarray]]:
    """(stage, shares (B, S, S)) of the stages that select: how many of their choices fall on each pixel's token."""
    import torch

    recorded: dict[int, list[tuple[Any, Any]]] = {}
    for stage, layers in enumerate(model.stages, start=1):
        for block in layers.blocks:
            for windows, aggregator in zip(block.attn.windows, block.attn.aggregators, strict=True):
                _record(aggregator, windows, recorded.setdefault(stage, []))
    with torch.no_grad():
        model(images_bchw)
    size = images_bchw.shape[-1]
    return [
        (stage, _shares(choices, size, model.feature_info[stage - 1]["reduction"]))
        for stage, choices in recorded.items()
        if choices
    ]


def _record(aggregator: Any, windows: Any, choices: list[tuple[Any, Any]]) -> None:
    """Have an aggregator note what it selects; the model is thrown away afterwards."""
    from favit.analysis.kept_keys import kept

    def note(_: Any, inputs: tuple[Any, ...]) -> None:
        chosen_bht = kept(aggregator, inputs)
        if chosen_bht is not None:
            choices.append((windows, chosen_bht))

    aggregator.register_forward_pre_hook(note)


def _shares(choices: list[tuple[Any, Any]], size: int, stride: int) -> np.ndarray:
    """Share of selections (each is one head's 49 samples) that hold a token, spread over its pixels: (B, S, S)."""
    side = -(-size // stride)
    batch = choices[0][1].shape[0]
    counts = np.zeros((batch, side, side))
    selections = 0
    for windows, chosen_bht in choices:
        rows, columns = windows.rows.numpy(), windows.columns.numpy()
        index = chosen_bht.numpy()
        for b in range(batch):
            for head in index[b]:
                token = rows[head // len(columns)] * side + columns[head % len(columns)]
                counts[b].flat[token] += 1  # once, however many of its samples are chosen
        selections += index.shape[1]
    pixels = np.arange(size) // stride
    return counts[:, pixels][:, :, pixels] / selections
