"""The statistics that the setting ``normalise`` names, other than the data set's own."""

from __future__ import annotations

Colour = tuple[float, float, float]

# Mean and deviation of the channels, in [0, 1]; ImageNet's are those that torchvision and timm give.
STATISTICS: dict[str, tuple[Colour, Colour]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def statistics(normalise: str, own: tuple[Colour, Colour]) -> tuple[Colour, Colour]:
    """Mean and deviation to standardise with; ``own`` are the data set's."""
    return own if normalise == "dataset" else STATISTICS[normalise]
