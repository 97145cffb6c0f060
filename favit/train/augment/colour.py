"""Colour transforms of batches, each equal to Pillow's of one image.

Images are (B, 3, H, W) float32 of whole numbers 0 to 255, and so are the
results. ``argument`` is (B,), one number an image.
"""

from __future__ import annotations

import torch
from torch import Tensor


def auto_contrast(images: Tensor, argument: Tensor) -> Tensor:
    """Stretch each channel to 0 to 255 (``ImageOps.autocontrast``)."""
    low, high = images.aminmax(dim=3)
    return stretch(images, low.amin(2)[:, :, None, None], high.amax(2)[:, :, None, None])


def stretch(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """``values`` with ``low`` to ``high`` stretched to 0 to 255, where these differ."""
    # In float64 and by a true division, as Pillow, whose truncation shows the least error; 255 / tensor is none
    scale = torch.full_like(low, 255, dtype=torch.float64) / (high - low)
    stretched = torch.where(high > low, values * scale - low * scale, values.double())
    return stretched.floor_().clamp_(0, 255).float()


def equalize(images: Tensor, argument: Tensor) -> Tensor:
    """Even out each channel's histogram (``ImageOps.equalize``)."""
    b, c, h, w = images.shape
    values = images.long().reshape(b * c, h * w)
    histogram = torch.zeros(b * c, 256, dtype=torch.long, device=images.device)
    histogram.scatter_add_(
        1, values, torch.ones((), dtype=torch.long, device=images.device).expand_as(values)
    )
    brightest = histogram.gather(1, values.amax(1, keepdim=True))
    step = (h * w - brightest) // 255
    before = histogram.cumsum(1) - histogram + step // 2
    table = (before // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.gather(1, values).reshape(b, c, h, w).float()


def invert(images: Tensor, argument: Tensor) -> Tensor:
    """Turn images into their negatives."""
    return 255 - images


def posterize(images: Tensor, argument: Tensor) -> Tensor:
    """Keep ``argument`` bits of eight."""
    step = torch.exp2(8 - argument)[:, None, None, None]
    return (images / step).floor_() * step


def solarize(images: Tensor, argument: Tensor) -> Tensor:
    """Invert from ``argument`` up."""
    return torch.where(images < argument[:, None, None, None], images, 255 - images)


def solarize_add(images: Tensor, argument: Tensor) -> Tensor:
    """Add ``argument`` to the darker half."""
    return torch.where(images < 128, (images + argument[:, None, None, None]).clamp_(max=255), images)


def brightness(images: Tensor, argument: Tensor) -> Tensor:
    """Move away from black by the factor ``argument``."""
    return _blend(torch.zeros((), device=images.device), images, argument)


def contrast(images: Tensor, argument: Tensor) -> Tensor:
    """Move away from the mean grey by the factor ``argument``."""
    mean = _grey(images).mean((1, 2, 3), keepdim=True, dtype=torch.float64)
    return _blend((mean + 0.5).floor_().float(), images, argument)


def saturation(images: Tensor, argument: Tensor) -> Tensor:
    """Move away from grey by the factor ``argument``."""
    return _blend(_grey(images), images, argument)


def sharpness(images: Tensor, argument: Tensor) -> Tensor:
    """Move away from the smoothed image by the factor ``argument``; its border is not smoothed."""
    # Ones but for 5 in the middle, over 13: sums of rows, then of columns, several times as fast as a convolution
    rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    sums = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = sums.add_(images[:, :, 1:-1, 1:-1], alpha=4).div_(13).add_(0.5).floor_()
    return _blend(smooth, images, argument)


def _grey(images: Tensor) -> Tensor:
    """Luma (ITU-R 601) of whole numbers: (B, 1, H, W)."""
    # Pillow's weights out of 65536; every sum is a whole number below 2^24, exact in float32
    red, green, blue = images.unbind(1)
    luma = red * 19595 + green * 38470 + blue * 7471 + 32768
    return (luma / 65536).floor_()[:, None]


def _blend(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    factor = factor[:, None, None, None]
    return torch.lerp(base.expand_as(images), images, factor).clamp_(0, 255).floor_()
