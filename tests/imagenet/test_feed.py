"""Images from disk: the pixels of torchvision, each once, in an order that neither workers nor resuming change."""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torch import Tensor

from favit.components import declared
from favit.data import _stored
from favit.models import _torchvision_cpu as torchvision_cpu  # noqa: F401  (before torchvision)
from favit.train.augment.crop import random_crops
from favit.train.distributed import World
from favit.train.feeds.stored import Feed, central, cropped
from favit.train.order import Batch, Order
from favit.train.settings import Images, parse
from favit.train.tasks import classification
from tests.imagenet import miniature

# isort: split
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

CPU = torch.device("cpu")
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def run_of(**changes: Any) -> dict[str, Any]:
    defaults = declared.training_defaults("classification")
    names = {"dataset": "miniature", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none"}
    return {**defaults, **names, "image_size": 32, "crop_scale_min": 0.08, "batch_size": 4, **changes}


def feed_of(data: Path, world: World | None = None, workers: int = 0, **changes: Any) -> Feed:
    stored, chosen = _stored.load(data / "miniature", 4), parse(Images, run_of(**changes))
    return Feed(stored, chosen, 0, CPU, world or World(), workers)


def order_of(feed: Feed) -> Order:
    return Order(feed.train_examples, 4, drop_last=False, seed=5, on_cpu=True)


def epoch_of(feed: Feed, epoch: int = 0, first: int = 0) -> list[tuple[Batch, Tensor, Tensor]]:
    return list(feed.train(order_of(feed).epoch(epoch, first, World(), CPU), epoch))


def pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.numpy())


def levels(ours: Tensor, theirs: Image.Image) -> int:
    """The largest difference of two images (3, S, S), in levels of 255."""
    return int((ours.int() - tv.pil_to_tensor(theirs).int()).abs().max())


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("size", [24, 64, 96])
def test_crops_are_those_of_pillow_within_two_levels(interpolation: str, size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for number in range(6):
        pixels = tv.pil_to_tensor(miniature.photograph(number)).permute(1, 2, 0).contiguous()
        box = random_crops(1, *pixels.shape[:2], 0.08, generator)[0].long().tolist()
        theirs = tv.resized_crop(pil(pixels), *box, [size, size], MODES[interpolation])
        assert levels(cropped(pixels, box, size, interpolation), theirs) <= 2


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize(("size", "share", "short"), [(32, 1.0, 32), (32, 0.875, 36), (35, 0.9, 38)])
def test_centres_are_those_of_torchvision_within_two_levels(
    interpolation: str, size: int, share: float, short: int
) -> None:
    """``Resize(short)``, ``CenterCrop(size)``."""
    for number in range(6):
        pixels = tv.pil_to_tensor(miniature.photograph(number)).permute(1, 2, 0).contiguous()
        theirs = tv.center_crop(tv.resize(pil(pixels), [short], MODES[interpolation]), [size])
        assert levels(central(pixels, size, share, interpolation), theirs) <= 2


def test_boxes_follow_each_image_s_own_size() -> None:
    """All of one size: the very boxes of that size. Of several: each inside its image, of the same distribution."""
    sizes = torch.full((64,), 300), torch.full((64,), 500)
    one, each = (
        random_crops(64, *size, 0.08, torch.Generator().manual_seed(3)) for size in ((300, 500), sizes)
    )
    assert torch.equal(one, each)
    n = 4000
    heights = torch.tensor([300, 40]).repeat(n)
    widths = torch.tensor([500, 400]).repeat(n)
    boxes = random_crops(2 * n, heights, widths, 0.08, torch.Generator().manual_seed(4))
    top, left, h, w = boxes.unbind(1)
    assert bool(
        ((top >= 0) & (left >= 0) & (top + h <= heights) & (left + w <= widths) & (h > 0) & (w > 0)).all()
    )
    for i, (height, width) in enumerate(((300, 500), (40, 400))):
        alone = random_crops(n, height, width, 0.08, torch.Generator().manual_seed(5))
        for column in range(4):
            assert ks_2samp(boxes[i::2, column], alone[:, column]).pvalue > 1e-4


def test_an_epoch_shows_each_image_once_with_its_label(data: Path) -> None:
    feed = feed_of(data, crop_scale_min=1.0)
    batches = epoch_of(feed)
    seen = torch.cat([batch.indices[batch.weights > 0] for batch, _, _ in batches])
    assert sorted(seen.tolist()) == list(range(23)) and seen.tolist() != list(range(23))
    whole = [i for i in range(24) if i != miniature.CORRUPT]
    files = list(miniature.train_files().values())
    for batch, images, labels in batches:
        assert images.dtype == torch.uint8 and images.shape[1:] == (3, 32, 32)
        for index, image, label in zip(batch.indices.tolist(), images, labels, strict=True):
            assert label == whole[index] // 6
            theirs = tv.resize(
                Image.open(io.BytesIO(files[whole[index]])).convert("RGB"), [32], MODES["bicubic"]
            )
            assert levels(image, tv.center_crop(theirs, [32])) <= 2


def test_neither_workers_nor_resuming_change_an_image(data: Path) -> None:
    """Two epochs in one feed with two workers, against fresh ones without, and one that begins in the middle."""
    feed = feed_of(data, workers=2)
    for epoch in (0, 1):
        wanted = epoch_of(feed_of(data), epoch)
        for found, first in ((epoch_of(feed, epoch), 0), (epoch_of(feed_of(data), epoch, 3), 3)):
            assert len(found) == len(wanted) - first
            for (batch, images, labels), (batch2, images2, labels2) in zip(
                found, wanted[first:], strict=True
            ):
                assert batch.step == batch2.step and torch.equal(batch.indices, batch2.indices)
                assert torch.equal(images, images2) and torch.equal(labels, labels2)
    assert not torch.equal(epoch_of(feed, 0)[0][1], epoch_of(feed, 1)[0][1])


def test_processes_crop_differently(data: Path) -> None:
    """Or each would repeat the other's noise."""
    batch = Batch(0, torch.arange(4), torch.ones(4))
    one, other = (next(iter(feed_of(data, World(rank, 2)).train([batch], 0)))[1] for rank in (0, 1))
    assert not torch.equal(one, other)


def test_what_the_workers_have_cropped_is_not_cropped_again(data: Path) -> None:
    """With all else off, training sees each crop as it is."""
    task = classification.Task(run_of(), data, CPU, World())
    crops = list(task._feed.train(task.order.epoch(0, 0, World(), CPU), 0))
    shown = [x for _, (x, _) in task.batches(task.order.epoch(0, 0, World(), CPU), 0)]
    assert len(crops) == len(shown) > 1
    for (_, images, _), x in zip(crops, shown, strict=True):
        assert torch.equal(x, task._standard.apply(images.float()))


@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_each_validation_image_is_scored_once(
    data: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(classification, "_SCORED_AT_ONCE", at_once)
    task = classification.Task(run_of(test_crop=0.875), data, CPU, World(), workers=1)
    shown = []

    def model(images: Tensor) -> Tensor:
        shown.append(images)
        logits = torch.zeros(len(images), 4)
        logits[:, 1] = 1
        return logits

    result = task.finish(model, lambda: None)
    labels = [label for i, label in enumerate(miniature.val_labels()) if i != miniature.CORRUPT_VAL]
    assert result.predictions["labels"].tolist() == labels
    assert result.metrics["top1"] == 100 * labels.count(1) / len(labels)
    assert task.test_examples == 8
    images = torch.cat(shown)[:8]
    expected = torch.cat([images for images, _ in feed_of(data, test_crop=0.875).test([torch.arange(8)])])
    mean, std = (torch.tensor(x)[:, None, None] for x in (_stored.MEAN, _stored.STD))
    assert torch.allclose(images * std + mean, expected / 255, atol=1e-5)


def test_signals_leave_the_workers_alone(data: Path) -> None:
    """A warning goes to the whole tree: the trainer saves, for which it may still need its workers."""
    feed = feed_of(data, workers=2)
    batches = feed.train(order_of(feed).epoch(0, 0, World(), CPU), 0)
    for _ in range(2):  # one of each worker: one that is still starting has not set the signals aside
        next(batches)
    workers = [worker.pid for worker in feed._loader._iterator._workers]  # type: ignore[union-attr]
    for number in (signal.SIGUSR2, signal.SIGTERM):
        for pid in workers:
            os.kill(pid, number)
    time.sleep(0.1)
    assert len(list(batches)) == order_of(feed).steps - 2


def test_a_damaged_image_is_named(data: Path, tmp_path: Path) -> None:
    part = _stored.load(data / "miniature", 4).train
    broken = _stored.Part(tmp_path, part.labels[:1], (), names=np.array([b"x.JPEG"]))
    (tmp_path / "x.JPEG").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="image 0 in"):
        broken.encoded([0])


def test_limits_keep_the_first(data: Path) -> None:
    limited = _stored.load(data / "miniature", 4).limited(3, 2)
    assert len(limited.train) == 3 and len(limited.test) == 2
