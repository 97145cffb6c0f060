"""Shears, shifts and turns of batches, one affine map an image, as Pillow's ``transform`` and ``rotate``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def shear_x(argument: Tensor, size: int) -> Tensor:
    """Rows of (1, argument, 0; 0, 1, 0), where a pixel of the result is looked up: (n, 2, 3), as all of these."""
    return _matrices(argument, {(0, 1): argument})


def shear_y(argument: Tensor, size: int) -> Tensor:
    """``y + argument x``."""
    return _matrices(argument, {(1, 0): argument})


def translate_x(argument: Tensor, size: int) -> Tensor:
    """Move by a share of the width."""
    return _matrices(argument, {(0, 2): argument * size})


def translate_y(argument: Tensor, size: int) -> Tensor:
    """Move by a share of the height."""
    return _matrices(argument, {(1, 2): argument * size})


def rotate(argument: Tensor, size: int) -> Tensor:
    """Rotate by degrees against the clock, about the centre."""
    angle = -argument * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    middle = size / 2
    return _matrices(
        argument,
        {
            (0, 0): cos,
            (0, 1): sin,
            (1, 0): -sin,
            (1, 1): cos,
            (0, 2): middle - middle * cos - middle * sin,
            (1, 2): middle + middle * sin - middle * cos,
        },
    )


def transform(images: Tensor, matrices: Tensor, fill: Tensor, interpolation: str) -> Tensor:
    """Each image seen through its map.

    Args:
        images: (B, C, S, S) float32 of whole numbers 0 to 255
        matrices: (B, 2, 3) from a result's pixel to the image's, in pixels, centres at halves
        fill: (C,) the colour of what lies outside
        interpolation: ``bilinear`` or ``bicubic``. Torch's cubic has a = -0.75, Pillow's here -1
    """
    size = images.shape[-1]
    centres = torch.arange(size, dtype=matrices.dtype, device=matrices.device) + 0.5
    by_x, by_y, shift = (matrices[:, :, k, None] * centres if k < 2 else matrices[:, :, 2:] for k in range(3))
    places = by_x[:, :, None, :] + (by_y + shift)[:, :, :, None]  # (B, 2, S, S) in pixels, x then y
    inside = ((places >= 0) & (places < size)).all(1, keepdim=True)
    grid = torch.stack(places.mul_(2 / size).sub_(1).unbind(1), 3)  # the [-1, 1] of grid_sample
    seen = F.grid_sample(images, grid, interpolation, "border", align_corners=False)
    # Pillow cuts off what follows the point; the little that is added is float32's own error
    return torch.where(inside, seen.add_(1 / 512).floor_().clamp_(0, 255), fill[:, None, None])


def _matrices(like: Tensor, entries: dict[tuple[int, int], Tensor]) -> Tensor:
    """The identity with some entries replaced."""
    found = torch.eye(2, 3, dtype=like.dtype).repeat(len(like), 1, 1)
    for (row, column), value in entries.items():
        found[:, row, column] = value
    return found
