"""Random erasing (Zhong et al. 2017, arXiv 1708.04896, Algorithm 1) as timm does it: boxes of normal noise."""

from __future__ import annotations

import torch
from torch import Tensor

from favit.train.augment.boxes import first_fitting, place, random_boxes, uniform

_AREA = (0.02, 1 / 3)
_RATIO = (0.3, 1 / 0.3)


def erase(images: Tensor, probability: float, generator: torch.Generator, noise: torch.Generator) -> Tensor:
    """Overwrite one box of some images, in place, with noise of mean 0 and variance 1.

    Args:
        images: (B, C, H, W) standardised
        probability: of each image to be erased
        generator: on the CPU, for the boxes
        noise: on the images' device, for the pixels
    """
    height, width = images.shape[-2:]
    for i, (top, left, h, w) in random_erasures(len(images), height, width, probability, generator):
        box = images[i, :, top : top + h, left : left + w]
        box.normal_(generator=noise)
    return images


def random_erasures(
    n: int, height: int, width: int, probability: float, generator: torch.Generator
) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Which images are erased and where: (image, (top, left, height, width)).

    An image chosen for which none of ten boxes is smaller than itself stays whole.
    """
    chosen = uniform((n,), 0, 1, generator) < probability
    # timm draws height / width from the bounds; they are symmetric
    heights, widths = random_boxes(n, height, width, _AREA, _RATIO, generator)
    h, w, any_fits = first_fitting(heights, widths, (heights < height) & (widths < width))
    top, left = place(height - h, generator), place(width - w, generator)
    boxes = torch.stack([top, left, h, w], dim=1).long().tolist()
    return [(i, tuple(boxes[i])) for i in (chosen & any_fits).nonzero()[:, 0].tolist()]
