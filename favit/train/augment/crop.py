"""Random resized crops (torchvision's RandomResizedCrop, after Szegedy et al. 2014, arXiv 1409.4842, section 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from favit.train.augment.boxes import first_fitting, place, random_boxes

_RATIO = (3 / 4, 4 / 3)


def random_crops(
    n: int, height: int | Tensor, width: int | Tensor, scale_min: float, generator: torch.Generator
) -> Tensor:
    """Boxes of ``scale_min`` to all of the area and a ratio of 3/4 to 4/3: (n, 4) top, left, height, width.

    ``height`` and ``width`` are those of all images, or of each: (n,). Where none
    of ten tries fits, the largest central box of an allowed ratio.
    """
    height, width = (torch.as_tensor(side, dtype=torch.float64).expand(n) for side in (height, width))
    heights, widths = random_boxes(n, height[:, None], width[:, None], (scale_min, 1.0), _RATIO, generator)
    fits = (heights > 0) & (heights <= height[:, None]) & (widths > 0) & (widths <= width[:, None])
    h, w, any_fits = first_fitting(heights, widths, fits)
    top, left = place(height - h, generator), place(width - w, generator)
    drawn = torch.stack([top, left, h, w], dim=1)
    return torch.where(any_fits[:, None], drawn, _central(height, width)).float()


def whole(height: int, width: int) -> Tensor:
    """The box that is the image: (1, 4)."""
    return torch.tensor([[0.0, 0.0, height, width]])


def _central(height: Tensor, width: Tensor) -> Tensor:
    low, high = _RATIO
    h = torch.where(width / height < low, (width / low).round(), height)
    w = torch.where(width / height > high, (height * high).round(), width)
    return torch.stack([(height - h) // 2, (width - w) // 2, h, w], dim=1)
