"""Crop, flip and resize as two matrix products an image, with Pillow's filters.

Resampling is separable and linear, so "crop this box, resize it to S x S, flip
it" is ``A_y image A_x^T`` with small matrices that depend on the box alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from favit.train.transfer import to_device

_KEPT_BYTES = 2**28  # of resampling matrices, at most


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
    top, left, height, width = to_device(boxes.float(), images.device).unbind(1)
    rows = resampling_matrix(top, height, h, size, interpolation)  # (b or 1, S, H)
    columns = resampling_matrix(left, width, w, size, interpolation)  # (b or 1, S, W)
    if flip is not None:
        there = to_device(flip, images.device)
        columns = torch.where(there[:, None, None], columns.flip(1), columns)
    out = torch.empty(b, c, size, size, device=images.device) if out is None else out
    with exact_products():
        wide = images.float().reshape(b, c * h, w) @ columns.mT
        wide = _whole(wide, interpolation).reshape(b * c, h, size)
        rows = rows[:, None].expand(b, c, -1, -1).reshape(b * c, size, h)
        torch.bmm(rows, wide, out=out.view(b * c, size, size))
    return _whole(out, interpolation)


@contextmanager
def exact_products() -> Iterator[None]:
    """No TF32 in matrix products, whatever the run takes for its model: its 10 bits move one pixel in 30 by a level."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class Crops:
    """What ``crop_resize`` does, for images of one small size: their crops are few, and so are their matrices.

    All of them are kept on the device, so that a batch's are two look-ups instead of thirty operations.
    """

    @staticmethod
    def may_be_kept(height: int, width: int, size: int) -> bool:
        """Whether the matrices of such images take little memory."""
        rows, columns = (side * (side + 1) // 2 * side * size * 4 for side in (height, width))
        return 2 * columns + (rows if height != width else 0) <= _KEPT_BYTES

    def __init__(self, height: int, width: int, size: int, interpolation: str, device: torch.device) -> None:
        self._height, self._width, self._size, self._interpolation = height, width, size, interpolation
        columns = _every_matrix(width, size, interpolation, device)
        self._columns = torch.cat([columns, columns.flip(1)])
        # A square's rows are resampled by the matrices of its columns that are not mirrored
        square = height == width
        self._rows = self._columns if square else _every_matrix(height, size, interpolation, device)

    def indices(self, boxes: Tensor, flip: Tensor) -> dict[str, Tensor]:
        """Which matrices a batch takes, of boxes (b, 4) and mirrors (b,) on the CPU: of each of 3 channels, then
        of each image."""
        top, left, height, width = boxes.long().unbind(1)
        mirrored = flip * (len(self._columns) // 2)
        rows = _place(top, height, self._height).repeat_interleave(3)
        return {"rows": rows, "columns": _place(left, width, self._width) + mirrored}

    def apply(self, images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Crop, resize and mirror (b, 3, H, W), the indices being on their device: (b, 3, S, S) float32."""
        b, h, w, size = len(images), self._height, self._width, self._size
        with exact_products():
            wide = torch.bmm(images.float().view(b, 3 * h, w), self._columns.index_select(0, columns).mT)
            wide = _whole(wide, self._interpolation).view(3 * b, h, size)
            out = torch.bmm(self._rows.index_select(0, rows), wide)
        return _whole(out, self._interpolation).view(b, 3, size, size)


def _every_matrix(full: int, size: int, interpolation: str, device: torch.device) -> Tensor:
    """Those of all crops [start, start + length) of ``full`` pixels, in the order of ``_place``: (crops, S, full)."""
    crops = [(start, length) for start in range(full) for length in range(1, full - start + 1)]
    starts, lengths = to_device(torch.tensor(crops, dtype=torch.float32), device).unbind(1)
    return resampling_matrix(starts, lengths, full, size, interpolation)


def _place(start: Tensor, length: Tensor, full: int) -> Tensor:
    return start * full - start * (start - 1) // 2 + length - 1


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
