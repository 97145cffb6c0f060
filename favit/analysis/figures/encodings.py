"""Correlation structure of the position encodings, which needs no run."""

from __future__ import annotations

from favit.analysis.figures._base import Plot, style

_DIM, _LENGTH = 512, 64  # Informer's width and input


def draw() -> Plot:
    """A row an encoding, a column a band of its channels."""
    from favit.analysis import position_similarity  # imports torch

    with style():
        figure = position_similarity.correlation_figure(position_similarity.tables(_DIM, _LENGTH))
    caption = (
        f"Pearson correlation between the vectors of {_LENGTH} positions, {_DIM} channels: over all channels and over "
        "bands of them. Light: alike, grey: unrelated, dark: opposite; white where a vector is constant and has no "
        "correlation. Learned encodings as they are before training."
    )
    return Plot("encodings", "Correlation structure of the encodings", caption, figure, pictures=True)
