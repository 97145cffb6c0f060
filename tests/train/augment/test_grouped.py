"""A GPU's way through augmentation, taken on the CPU, against the CPU's own, which the other tests hold to Pillow's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from favit.train import seeds, transfer
from favit.train.augment import grouped, randaugment
from favit.train.augment.pipeline import Augmentation, OnGpu
from favit.train.augment.resize import Crops, crop_resize
from favit.train.settings import Images

CPU = torch.device("cpu")
MEAN, STD, CLASSES = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), 10
RECIPE = Images(
    image_size=40, crop_scale_min=0.08, flip=0.5, randaugment="m9-mstd0.5-p1-inc1", mixup=0.8, cutmix=1.0,
    label_smoothing=0.1,
)  # fmt: skip
CASES = {
    "bicubic": RECIPE,
    "bilinear": replace(RECIPE, interpolation="bilinear"),
    "three layers": replace(RECIPE, randaugment="m9-n3-mstd0.5-inc1"),
    "one layer, rarely": replace(RECIPE, randaugment="m9-n1-p0.1-inc1"),
    "jitter": replace(RECIPE, randaugment="", color_jitter=0.4),
    "no crop": replace(RECIPE, crop_scale_min=1.0),
    "the image's own size": replace(RECIPE, crop_scale_min=1.0, image_size=24),
    "mirrors and mixup": Images(image_size=40, crop_scale_min=0.5, flip=0.5, mixup=0.8),
    "nothing": Images(image_size=40),
}


def pixels(n: int) -> tuple[Tensor, Tensor]:
    """Smooth images, the first of one colour and the second of two."""
    coarse = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 255
    images = torch.nn.functional.interpolate(coarse, (24, 24), mode="bicubic").clamp(0, 255).byte()
    images[0], images[1:2, :, :, 12:] = 77, 90
    return images, torch.arange(n) % CLASSES


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [1, 2, 90])
def test_both_ways_give_the_same_images(name: str, n: int) -> None:
    augmentation = Augmentation(CASES[name], 0, MEAN, STD, CLASSES, CPU)
    grouped_way = OnGpu(CASES[name], augmentation._standard, augmentation._fill)
    images, labels = pixels(n)
    for step in range(2):
        where = (0, step, 0)
        expected, _ = augmentation(images.clone(), labels, where)
        drawn = augmentation._draw(n, 24, 24, seeds.generator(0, "augment", *where))
        found = grouped_way(images, drawn, torch.Generator())
        levels = (found - expected).abs() * 255 * torch.tensor(STD)[:, None, None]
        # Coordinates round differently, which turns a floor here and there, and the fate of a pixel on an edge
        assert (levels > 0.5).float().mean() < 1e-4, name


def test_erasing_leaves_the_rest_alone() -> None:
    """The same boxes as on the CPU; the noise is of the device's own generator."""
    chosen = replace(RECIPE, erasing=0.5, mixup=0.0, cutmix=0.0)
    augmentation = Augmentation(chosen, 0, MEAN, STD, CLASSES, CPU)
    way = OnGpu(chosen, augmentation._standard, augmentation._fill)
    images, _ = pixels(40)
    drawn = augmentation._draw(40, 24, 24, seeds.generator(0, "augment", 0))
    erased = way(images, drawn, torch.Generator().manual_seed(1))
    whole = way(images, replace(drawn, erasures={}), torch.Generator().manual_seed(1))
    assert drawn.erasures
    noise = []
    for i in range(40):
        hole = torch.zeros(40, 40, dtype=torch.bool)
        if i in drawn.erasures:
            top, left, height, width = drawn.erasures[i]
            hole[top : top + height, left : left + width] = True
            noise.append(erased[i, :, hole].flatten())
        assert torch.equal(erased[i, :, ~hole], whole[i, :, ~hole])
    values = torch.cat(noise)
    assert abs(values.mean()) < 0.05 and abs(values.std() - 1) < 0.05


def test_a_plan_puts_every_image_where_its_transform_is() -> None:
    operation = torch.randint(-1, 15, (60,), generator=torch.Generator().manual_seed(0))
    plan = grouped.plan(operation)
    assert sorted(plan.order.tolist()) == list(range(60)) and plan.ends[-1] == 60
    moved = operation[plan.order][plan.part(grouped._MOVED, grouped._MOVED)].tolist()
    assert sorted(moved) == sorted(
        k for k in operation.tolist() if k >= 0 and randaugment.moves(randaugment.NAMES[k])
    )
    nothing = operation[plan.order][plan.part(grouped._NOTHING, grouped._NOTHING)]
    assert (nothing == -1).all() and len(nothing) == (operation == -1).sum()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 5)])
def test_kept_matrices_are_those_that_are_computed(height: int, width: int, interpolation: str) -> None:
    """Every crop of a small image, square or not, mirrored and not: equal to the bit."""
    boxes = torch.tensor([
        [float(top), float(left), float(h), float(w)]
        for top in range(height) for h in range(1, height - top + 1)
        for left in range(width) for w in range(1, width - left + 1)
    ])  # fmt: skip
    flip = torch.arange(len(boxes)) % 2 == 0
    images = torch.randint(0, 256, (len(boxes), 3, height, width), dtype=torch.uint8)
    crops = Crops(height, width, 9, interpolation, CPU)
    found = crops.apply(images, **crops.indices(boxes, flip))
    assert torch.equal(found, crop_resize(images, boxes, 9, interpolation, flip))


def test_matrices_are_kept_up_to_their_bound() -> None:
    """From 64 to 224 pixels they are; a side more than a square's takes memory of its own."""
    sides = ((64, 64), (96, 96), (64, 63), (32, 48))
    assert [Crops.may_be_kept(*each, 224) for each in sides] == [True, False, False, True]


def test_many_parts_cross_in_one_buffer() -> None:
    parts = {
        "bytes": torch.arange(5, dtype=torch.uint8),
        "flags": torch.tensor([[True, False, True]]),
        "whole": torch.arange(3),
        "single": torch.rand(2, 3, 4),
        "double": torch.rand(1, dtype=torch.float64),
        "none": torch.empty(0, 3),
        "a view": torch.rand(4, 5).T,
    }
    there = transfer.together(parts, CPU)
    assert there.keys() == parts.keys()
    for name, part in parts.items():
        assert there[name].dtype == part.dtype and torch.equal(there[name], part)
    assert len({part.untyped_storage().data_ptr() for part in there.values() if part.numel()}) == 1


def test_tf32_never_reaches_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a run takes for its model, which is as it was afterwards."""
    seen = []
    multiply = torch.bmm

    def noted(*arguments: Tensor, **keywords: Tensor) -> Tensor:
        seen.append(torch.backends.cuda.matmul.allow_tf32)
        return multiply(*arguments, **keywords)

    monkeypatch.setattr(torch, "bmm", noted)
    augmentation = Augmentation(RECIPE, 0, MEAN, STD, CLASSES, CPU)
    images, labels = pixels(20)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        augmentation(images, labels, (0, 0, 0))
        drawn = augmentation._draw(20, 24, 24, seeds.generator(0, "augment", 0))
        OnGpu(RECIPE, augmentation._standard, augmentation._fill)(images, drawn, torch.Generator())
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert len(seen) > 4 and not any(seen)
