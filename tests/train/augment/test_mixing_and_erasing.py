"""Mixup, CutMix and erasing against timm's, and the pipeline that joins all transforms."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from favit.models import _torchvision_cpu as torchvision_cpu  # noqa: F401  (before timm)
from favit.train.augment import mix
from favit.train.augment.erase import erase, random_erasures
from favit.train.augment.pipeline import Augmentation, Standard, prepare
from favit.train.settings import Images

from timm.data import Mixup  # isort: skip
from timm.data.random_erasing import RandomErasing  # isort: skip

SIDE, CLASSES = 64, 10


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 3, SIDE, SIDE, generator=generator(9)), torch.arange(n) % CLASSES


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0), (0.2, 0.5)])
def test_mixes_are_drawn_as_timm_draws_them(mixup: float, cutmix: float) -> None:
    n = 4000
    source = generator()
    ours = [mix.draw(SIDE, SIDE, mixup, cutmix, source) for _ in range(n)]
    timms = Mixup(
        mixup, cutmix, prob=1.0, switch_prob=0.5, mode="batch", label_smoothing=0.1, num_classes=CLASSES
    )
    np.random.seed(0)
    theirs = []
    for _ in range(n):
        lam, use_cutmix = timms._params_per_batch()
        box = None
        if use_cutmix:
            from timm.data.mixup import cutmix_bbox_and_lam

            box, lam = cutmix_bbox_and_lam((1, 3, SIDE, SIDE), lam)
        theirs.append((lam, box))
    cut_share = [np.mean([m.box is not None for m in ours]), np.mean([b is not None for _, b in theirs])]
    assert cut_share[0] == pytest.approx(cut_share[1], abs=0.03)
    for cut in (False, True):
        mine = [m.lam for m in ours if (m.box is not None) == cut]
        other = [lam for lam, b in theirs if (b is not None) == cut]
        assert len(mine) == len(other) == 0 or stats.ks_2samp(mine, other).pvalue > 1e-4
    for k in range(4):
        mine = [m.box[k] for m in ours if m.box]
        other = [b[k] for _, b in theirs if b]
        assert not mine or stats.ks_2samp(mine, other).pvalue > 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_a_mix_is_timms(seed: int) -> None:
    """Timm told to draw what was drawn here gives the same images and targets."""
    images, labels = batch()
    drawn = mix.draw(SIDE, SIDE, 0.8, 1.0, generator(seed))
    timms = Mixup(0.8, 1.0, label_smoothing=0.1, num_classes=CLASSES)
    if drawn.box is None:
        timms._params_per_batch = lambda: (drawn.lam, False)  # type: ignore[method-assign]
        x, y = timms(images.clone(), labels)
    else:
        from timm.data import mixup as module

        timms._params_per_batch = lambda: (drawn.lam, True)  # type: ignore[method-assign]
        original = module.cutmix_bbox_and_lam
        module.cutmix_bbox_and_lam = lambda *_, **__: (drawn.box, drawn.lam)
        try:
            x, y = timms(images.clone(), labels)
        finally:
            module.cutmix_bbox_and_lam = original
    for at_once in (None, 1, 2):
        mixed = replace(drawn, at_once=at_once).images(images.clone())
        torch.testing.assert_close(mixed, x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(drawn.targets(labels, CLASSES, 0.1), y, rtol=1e-5, atol=1e-6)


def test_smoothed_targets_are_torchs() -> None:
    """Without mixing, soft targets give the loss of torch's label smoothing."""
    logits, (_, labels) = torch.randn(6, CLASSES, generator=generator()), batch()
    soft = mix.Mix().targets(labels, CLASSES, 0.1)
    ours = torch.nn.functional.cross_entropy(logits, soft, reduction="none")
    theirs = torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("side", [64, 7])
def test_erasures_are_drawn_as_timm_draws_them(side: int) -> None:
    n = 4000
    ours = random_erasures(n, side, side, 0.25, generator())
    random.seed(0)
    timms = RandomErasing(0.25, mode="const", device="cpu")
    theirs = []
    for _ in range(n):
        hole = (timms(torch.ones(1, side, side))[0] == 0).nonzero()
        if len(hole):
            (top, left), (bottom, right) = hole.amin(0).tolist(), hole.amax(0).tolist()
            theirs.append((top, left, bottom + 1 - top, right + 1 - left))
    # a box of no height or no width is drawn now and then in a very small image; it erases nothing
    boxes = np.array([box for box in ours.values() if box[2] and box[3]])
    assert len(boxes) / n == pytest.approx(len(theirs) / n, abs=0.03)
    assert max(ours) < n
    for k in range(4):
        assert stats.ks_2samp(boxes[:, k], np.array(theirs)[:, k]).pvalue > 1e-4
    areas = [b[:, 2] * b[:, 3] for b in (boxes, np.array(theirs))]
    assert stats.ks_2samp(*areas).pvalue > 1e-4


def test_what_is_erased_is_noise_and_nothing_else_changes() -> None:
    images = torch.full((200, 3, SIDE, SIDE), 7.0)
    boxes = random_erasures(200, SIDE, SIDE, 0.5, generator(1))
    found = erase(images.clone(), boxes, generator(2))
    pixels = []
    for i, image in enumerate(found):
        hole = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        if i in boxes:
            top, left, h, w = boxes[i]
            hole[top : top + h, left : left + w] = True
            pixels.append(image[:, hole].flatten())
        assert (image[:, ~hole] == 7).all()
        assert (image[:, hole] != 7).all()
    assert stats.kstest(torch.cat(pixels)[:20000].numpy(), "norm").pvalue > 1e-3


RECIPE = Images(
    image_size=48, crop_scale_min=0.08, flip=0.5, randaugment="m9-mstd0.5-inc1", erasing=0.25,
    mixup=0.8, cutmix=1.0, label_smoothing=0.1,
)  # fmt: skip
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
STANDARD = Standard(MEAN, STD, torch.device("cpu"))


def augmentation(seed: int = 0, **changes: Any) -> Augmentation:
    return Augmentation(replace(RECIPE, **changes), seed, MEAN, STD, CLASSES, torch.device("cpu"))


def pixels(n: int = 8) -> tuple[Tensor, Tensor]:
    return torch.randint(0, 256, (n, 3, 32, 32), generator=generator(), dtype=torch.uint8), torch.arange(n)


def test_a_step_augments_alike_each_time_and_unlike_any_other() -> None:
    """With the global generators untouched."""
    images, labels = pixels()
    state = torch.get_rng_state()
    first, again = (augmentation()(images, labels, (3, 5, 0)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    others = [augmentation()(images, labels, where)[0] for where in ((3, 6, 0), (4, 5, 0), (3, 5, 1))]
    others.append(augmentation(seed=1)(images, labels, (3, 5, 0))[0])
    assert not any(torch.equal(first[0], other) for other in others)


def test_with_everything_off_training_sees_what_scoring_sees() -> None:
    images, labels = pixels()
    off: dict[str, Any] = {"crop_scale_min": 1.0, "randaugment": "", "label_smoothing": 0.0}
    off.update(dict.fromkeys(("flip", "erasing", "mixup", "cutmix"), 0.0))
    x, targets = augmentation(**off)(images, labels, (0, 0, 0))
    assert torch.equal(x, prepare(images, 48, "bicubic", STANDARD))
    assert torch.equal(targets.argmax(1), labels) and torch.equal(targets.sum(1), torch.ones(8))
    torch.testing.assert_close(
        prepare(images, 32, "bicubic", STANDARD), expected(images), rtol=1e-5, atol=1e-5
    )


def expected(images: Tensor) -> Tensor:
    """Standardised by hand."""
    mean, std = (torch.tensor(v)[:, None, None] * 255 for v in (MEAN, STD))
    return (images.float() - mean) / std


def test_half_the_images_are_mirrored() -> None:
    images, labels = pixels(1)
    off: dict[str, Any] = {"crop_scale_min": 1.0, "randaugment": "", "image_size": 32}
    off.update(dict.fromkeys(("erasing", "mixup", "cutmix"), 0.0))
    x, _ = augmentation(**off)(images.expand(2000, -1, -1, -1), labels.expand(2000), (0, 0, 0))
    plain = prepare(images, 32, "bicubic", STANDARD)[0]
    mirrored = (x == plain.flip(2)).flatten(1).all(1)
    assert ((x == plain).flatten(1).all(1) | mirrored).all()
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.05)
