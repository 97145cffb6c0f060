"""Random boxes for crops and erasures, drawn for a whole batch as torchvision and timm draw them for one image.

Both try ten times and take the first box that fits; here all ten are drawn at
once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TRIES = 10


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Float64 numbers in [low, high)."""
    return torch.empty(shape, dtype=torch.float64).uniform_(low, high, generator=generator)


def random_boxes(
    n: int,
    height: int | Tensor,
    width: int | Tensor,
    area: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Heights and widths, (n, tries) each, of boxes with a uniform share of the image's area and a log-uniform
    ratio width / height, both within the given bounds. Some may be larger than the image.

    ``height`` and ``width`` are those of all images, or of each: (n, 1)."""
    target = uniform((n, _TRIES), *area, generator) * (height * width)
    aspect = uniform((n, _TRIES), math.log(ratio[0]), math.log(ratio[1]), generator).exp()
    return (target / aspect).sqrt().round(), (target * aspect).sqrt().round()


def first_fitting(heights: Tensor, widths: Tensor, fits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first try (n,) that fits as heights, widths, and whether one does."""
    first = fits.to(torch.int8).argmax(1, keepdim=True)
    return heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0], fits.any(1)


def place(room: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform whole numbers from 0 to ``room`` (n,), both included."""
    return (uniform(tuple(room.shape), 0, 1, generator) * (room + 1)).floor().clamp(max=room)
