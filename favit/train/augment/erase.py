"""Random erasing (Zhong et al. 2017, arXiv 1708.04896, Algorithm 1) as timm does it: boxes of normal noise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from favit.train.augment.boxes import first_fitting, place, random_boxes, uniform

_AREA = (0.02, 1 / 3)
_RATIO = (0.3, 1 / 0.3)


Box = tuple[int, int, int, int]  # top, left, height, width


def erase(images: Tensor, boxes: Mapping[int, Box], noise: torch.Generator) -> Tensor:
    """Overwrite one box of some images, in place, with noise of mean 0 and variance 1.

    Args:
        images: (B, C, H, W) standardised
        boxes: by image, see ``random_erasures``
        noise: on the images' device
    """
    for i, (top, left, h, w) in boxes.items():
        pixels = torch.randn(images.shape[1], h, w, generator=noise, device=images.device)
        images[i, :, top : top + h, left : left + w] = pixels
    return images


def random_erasures(
    n: int, height: int, width: int, probability: float, generator: torch.Generator
) -> dict[int, Box]:
    """Which of ``n`` images are erased, and where.

    An image chosen for which none of ten boxes is smaller than itself stays whole.
    """
    chosen = uniform((n,), 0, 1, generator) < probability
    # timm draws height / width from the bounds; they are symmetric
    heights, widths = random_boxes(n, height, width, _AREA, _RATIO, generator)
    h, w, any_fits = first_fitting(heights, widths, (heights < height) & (widths < width))
    top, left = place(height - h, generator), place(width - w, generator)
    boxes = torch.stack([top, left, h, w], dim=1).long().tolist()
    return {i: tuple(boxes[i]) for i in (chosen & any_fits).nonzero()[:, 0].tolist()}
