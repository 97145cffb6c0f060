"""Correlation structure of the position encodings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from favit import registry
from favit.analysis.figures._base import Plot, panels, style

LENGTH, DIM = 64, 512  # Informer's input and width


def draw(names: Sequence[str]) -> Plot | None:
    """Cosine similarity of every pair of positions, an encoding a panel; None where no encoding is fixed.

    names: encodings; those with parameters are left out, as they are noise before training.
    """
    found = {name: s for name in names if (s := _similarity(name)) is not None}
    if not found:
        return None
    lowest = min(0.0, *(float(s.min()) for s in found.values()))
    with style():
        figure, [axes] = panels(1, len(found), height=2.6)
        for panel, (name, similarity) in zip(axes, found.items(), strict=True):
            image = panel.imshow(similarity, cmap="gray_r", vmin=lowest, vmax=1)
            panel.set(title=name, xlabel="Position", ylabel="Position")
            panel.grid(visible=False)
        figure.colorbar(image, ax=axes, shrink=0.8, label="Cosine similarity")
    caption = (
        f"Cosine similarity between positions of the fixed encodings, {LENGTH} positions, {DIM} channels."
    )
    return Plot("encodings", "Correlation structure of the encodings", caption, figure)


def _similarity(name: str) -> np.ndarray | None:
    """(LENGTH, LENGTH); None for an encoding that is learned or adds no position."""
    import torch

    module = registry.load("encodings", name)
    if not getattr(module, "ADDS_POSITION", True):
        return None
    try:
        encoding = module.Encoding(DIM, length=LENGTH)
    except TypeError:  # takes no length: the same for all
        encoding = module.Encoding(DIM)
    if any(True for _ in encoding.parameters()):
        return None
    with torch.no_grad():
        e = torch.nn.functional.normalize(encoding(LENGTH).double(), dim=1)
    return (e @ e.T).numpy()
