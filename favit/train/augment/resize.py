"""Crop, flip and resize as two matrix products an image, with Pillow's filters.

Resampling is separable and linear, so "crop this box, resize it to S x S, flip
it" is ``A_y image A_x^T`` with small matrices that depend on the box alone.
"""

from __future__ import annotations

import torch
from torch import Tensor


def crop_resize(
    images: Tensor,
    boxes: Tensor,
    size: int,
    interpolation: str,
    flip: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Crop, resize, and mirror where ``flip`` is set.

    Args:
        images: (B, C, H, W), any type, values 0 to 255
        boxes: (B, 4) or (1, 4) top, left, height, width, in whole pixels, on any device
        size: S, side of the result
        interpolation: ``bilinear`` or ``bicubic``, antialiased where it shrinks
        flip: (B,) bool
        out: (B, C, S, S) float32, contiguous, to be filled; a new one if not given

    Returns (B, C, S, S) float32 of whole numbers 0 to 255, like Pillow's.
    """
    b, c, h, w = images.shape
    top, left, height, width = boxes.to(images.device, torch.float32, non_blocking=True).unbind(1)
    rows = resampling_matrix(top, height, h, size, interpolation)  # (b or 1, S, H)
    columns = resampling_matrix(left, width, w, size, interpolation)  # (b or 1, S, W)
    if flip is not None:
        columns = torch.where(flip.to(images.device)[:, None, None], columns.flip(1), columns)
    out = torch.empty(b, c, size, size, device=images.device) if out is None else out
    wide = _whole(images.float().reshape(b, c * h, w) @ columns.mT, interpolation).reshape(b * c, h, size)
    rows = rows[:, None].expand(b, c, -1, -1).reshape(b * c, size, h)
    torch.bmm(rows, wide, out=out.view(b * c, size, size))
    return _whole(out, interpolation)


def mirror(images: Tensor, flip: Tensor, out: Tensor) -> Tensor:
    """Fill ``out`` with images of its size (B, C, S, S), mirrored where ``flip`` (B,) is set."""
    out.copy_(images)
    there = flip.nonzero()[:, 0].to(images.device, non_blocking=True)
    return out.index_copy_(0, there, out.index_select(0, there).flip(3))


def resampling_matrix(start: Tensor, length: Tensor, full: int, size: int, interpolation: str) -> Tensor:
    """Weights of ``full`` pixels in ``size`` resampled ones, for each crop [start, start + length): (B, size, full).

    As Pillow: a filter centred at each result's position, widened where the
    result is smaller, cut off at the crop's edge and normalised.
    """
    support, kernel = _KERNELS[interpolation]
    scale = (length / size)[:, None, None]
    widening = scale.clamp(min=1)
    centres = start[:, None, None] + (torch.arange(size, device=start.device) + 0.5)[None, :, None] * scale
    pixels = torch.arange(full, device=start.device)[None, None, :] + 0.5
    inside = (pixels > start[:, None, None]) & (pixels < (start + length)[:, None, None])
    distance = ((pixels - centres) / widening).abs()
    weights = torch.where(inside & (distance < support), kernel(distance), 0.0)
    return weights / weights.sum(-1, keepdim=True)


def _whole(values: Tensor, interpolation: str) -> Tensor:
    # Pillow keeps bytes between its two passes; it rounds halves up, and halves are frequent
    values.add_(0.5).floor_()
    return values.clamp_(0, 255) if interpolation == "bicubic" else values  # whose weights may be negative


def _triangle(x: Tensor) -> Tensor:
    return 1 - x


def _cubic(x: Tensor) -> Tensor:
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, far)


_KERNELS = {"bilinear": (1.0, _triangle), "bicubic": (2.0, _cubic)}
