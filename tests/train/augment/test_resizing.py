"""Crop, mirror and resize against Pillow's; crop boxes against torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from favit.models import _torchvision_cpu as torchvision_cpu  # noqa: F401  (before torchvision)
from favit.train.augment.crop import random_crops, whole
from favit.train.augment.resize import crop_resize

PIL_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Images of independent pixels, the hardest to resample alike."""
    return torch.randint(
        0, 256, (n, 3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def pillow(image: Tensor, box: list[int], size: int, interpolation: str, flip: bool) -> Tensor:
    top, left, height, width = box
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    picture = picture.crop((left, top, left + width, top + height)).resize(
        (size, size), PIL_FILTERS[interpolation]
    )
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("side", "size"), [(32, 224), (32, 64), (8, 64), (48, 16), (33, 33)])
def test_pixels_are_pillows(interpolation: str, side: int, size: int) -> None:
    images = noise(40, side, side + 3)
    boxes = random_crops(40, side, side + 3, 0.08, torch.Generator().manual_seed(1))
    flip = torch.arange(40) % 2 == 0
    ours = crop_resize(images, boxes, size, interpolation, flip)
    theirs = torch.stack(
        [
            pillow(x, b, size, interpolation, f)
            for x, b, f in zip(images, boxes.int().tolist(), flip, strict=True)
        ]
    )
    difference = (ours - theirs).abs()
    assert ours.shape == theirs.shape
    # Values halfway between two bytes are frequent, and an error in the last bit decides where they go
    assert difference.max() <= 2
    assert difference.mean() < 0.03
    assert (ours - theirs).mean().abs() < 0.01, "rounding must have no direction"


def test_the_whole_image_at_its_own_size_is_itself() -> None:
    images = noise(3, 20, 20)
    assert torch.equal(crop_resize(images, whole(20, 20), 20, "bicubic"), images.float())


@pytest.mark.parametrize(("height", "width"), [(32, 32), (375, 500), (40, 200)])
def test_crop_boxes_are_distributed_as_torchvisions(height: int, width: int) -> None:
    from torchvision.transforms import RandomResizedCrop

    n = 4000
    torch.manual_seed(0)
    picture = torch.empty(3, height, width)
    theirs = np.array([RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(n)])
    ours = random_crops(n, height, width, 0.08, torch.Generator().manual_seed(2)).numpy()
    assert (ours[:, 0] + ours[:, 2] <= height).all() and (ours[:, 1] + ours[:, 3] <= width).all()
    assert (ours[:, 2:] >= 1).all() and (ours[:, :2] >= 0).all()
    for values in (
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 2],
        lambda b: b[:, 3],
        lambda b: b[:, 2] * b[:, 3],
    ):
        assert stats.ks_2samp(values(ours), values(theirs)).pvalue > 1e-3
    # what is left after the crop: together with the marginals above this catches a box that is not where it should be
    room = [np.mean((b[:, 0] / np.maximum(height - b[:, 2], 1))[b[:, 2] < height]) for b in (ours, theirs)]
    assert room[0] == pytest.approx(room[1], abs=0.03)


def test_boxes_that_can_never_fit_become_the_central_one() -> None:
    """An image five times as wide as high, of which all must stay."""
    boxes = random_crops(10, 30, 150, 1.0, torch.Generator().manual_seed(0))
    assert boxes.tolist() == [[0, 55, 30, 40]] * 10
