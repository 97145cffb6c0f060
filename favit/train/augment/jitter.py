"""Colour jitter (torchvision's ``ColorJitter`` without hue): brightness, contrast, saturation in random order."""

from __future__ import annotations

import torch
from torch import Tensor

from favit.train.augment import colour, randaugment
from favit.train.augment.boxes import uniform

_CHANGES = (colour.brightness, colour.contrast, colour.saturation)
_AS_RANDAUGMENT = ("BrightnessIncreasing", "ContrastIncreasing", "ColorIncreasing")  # the same changes


def draw(n: int, strength: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Order and factors, both (n, 3): ``order[i, r]`` is the change of round r, ``factors[i, k]`` change k's."""
    order = uniform((n, 3), 0, 1, generator).argsort(1)
    return order, uniform((n, 3), max(0.0, 1 - strength), 1 + strength, generator)


def apply(images: Tensor, order: Tensor, factors: Tensor) -> Tensor:
    """Change (B, 3, S, S) float32 of whole numbers 0 to 255 in place, each image in its own order."""
    for turn in range(len(_CHANGES)):
        for index, change in enumerate(_CHANGES):
            which = (order[:, turn] == index).nonzero()[:, 0]
            if not len(which):
                continue
            there = which.to(images.device, non_blocking=True)
            factor = factors[which, index].to(images.device, torch.float32, non_blocking=True)
            images.index_copy_(0, there, change(images.index_select(0, there), factor))
    return images


def rounds(drawn: tuple[Tensor, Tensor] | None) -> list[tuple[Tensor, Tensor]]:
    """The same as rounds of RandAugment's transforms, and their arguments; [] of none."""
    if drawn is None:
        return []
    order, factors = drawn
    names = torch.tensor([randaugment.NAMES.index(name) for name in _AS_RANDAUGMENT])
    return [(names[turn], factors.gather(1, turn[:, None])[:, 0]) for turn in order.unbind(1)]
