"""Image classification: images on the device, augmented there in batches, cross-entropy, top-1 and top-5."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from favit.components import registry
from favit.components.facts import facts, feed_of
from favit.components.statistics import statistics
from favit.train import build
from favit.train.ahead import Ahead
from favit.train.augment.pipeline import Augmentation, Standard, prepare
from favit.train.distributed import World
from favit.train.evaluation import mean, score
from favit.train.feeds import Feed
from favit.train.order import Batch, Order
from favit.train.settings import Images, Optimisation, parse
from favit.train.task import Check, FinalScores, Model, Selection

# One shape for all scoring, whatever the run's batch size.
_SCORED_AT_ONCE = 128


class Task:
    """A classifier and what brings its images to the device, as bytes."""

    unit = "images"
    selection = Selection("test", "top1", higher_is_better=True, decides=False)

    def __init__(
        self, run: Mapping[str, Any], root: Path, device: torch.device, world: World, workers: int = 0
    ) -> None:
        module = registry.load("data", run["dataset"])
        images, chosen = parse(Images, run), parse(Optimisation, run)
        data = module.load(root, run).limited(images.limit_train, images.limit_test)
        feeds = importlib.import_module(f"favit.train.feeds.{feed_of(run['dataset'])}")
        self._feed: Feed = feeds.Feed(data, images, chosen.seed, device, world, workers)
        # What the feed has cropped already is only resized here, and standardised.
        self._images = replace(images, crop_scale_min=1.0, test_crop=1.0) if self._feed.cropped else images
        self._world, self._device, self._ahead = world, device, Ahead(device)
        self._classes = len(data.class_names)
        mean, std = statistics(images.normalise, (data.mean, data.std))
        self._standard = Standard(mean, std, device)
        self._augmentation = Augmentation(self._images, chosen.seed, mean, std, self._classes, device)
        self._layout = torch.channels_last if images.channels_last else torch.contiguous_format
        self.model: nn.Module = build.model(run, facts(run["dataset"], data), device)
        self.model.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.train_examples, self.test_examples = self._feed.train_examples, len(self._feed.test_labels)
        self.order = Order(
            self.train_examples,
            chosen.batch_size,
            images.drop_last,
            chosen.seed,
            on_cpu=self._feed.on_cpu,
            repeats=images.repeats,
        )

    def batches(self, batches: Iterator[Batch], epoch: int) -> Iterator[tuple[Batch, Any]]:
        """Augmented images (b, 3, S, S) and their targets (b, classes)."""
        return self._ahead(self._augmented(batches, epoch))

    def _augmented(self, batches: Iterator[Batch], epoch: int) -> Iterator[tuple[Batch, Any]]:
        for batch, images, labels in self._feed.train(batches, epoch):
            x, targets = self._augmentation(images, labels, (epoch, batch.step, self._world.rank))
            yield batch, (x.contiguous(memory_format=self._layout), targets)

    def losses(self, model: Model, examples: Any) -> Tensor:
        """Each image's cross-entropy with its soft target: (b,)."""
        images, targets = examples
        return F.cross_entropy(model(images), targets, reduction="none")

    def evaluate(self, model: Model, check: Check) -> dict[str, float]:
        """Top-1 and top-5 in percent and the mean cross-entropy on the test images."""
        return _summary(self._scores(model, check))

    def finish(self, model: Model, check: Check) -> FinalScores:
        """The scores of ``evaluate``, and what each test image was taken for."""
        scores = self._scores(model, check)
        labels = self._feed.test_labels.numpy().astype(np.uint16)
        predicted = scores[:, 3].numpy().astype(np.uint16)
        predictions = {"labels": labels, "predicted": predicted, "correct5": scores[:, 1].bool().numpy()}
        return FinalScores(_summary(scores), predictions)

    def _scores(self, model: Model, check: Check) -> Tensor:
        """(test images, 4): right first, right among the first five, cross-entropy, predicted class."""
        chosen = self._images

        def rows(batch: tuple[Tensor, Tensor]) -> Tensor:
            images, y = batch
            x = prepare(images, chosen.image_size, chosen.interpolation, self._standard, chosen.test_crop)
            logits = model(x.contiguous(memory_format=self._layout)).float()
            best = logits.topk(min(5, self._classes)).indices
            right = best == y[:, None]
            loss = F.cross_entropy(logits, y, reduction="none")
            return torch.stack([right[:, 0].float(), right.any(1).float(), loss, best[:, 0].float()], dim=1)

        place = torch.device("cpu") if self._feed.on_cpu else self._device
        return score(
            self.test_examples, _SCORED_AT_ONCE, rows, self._world, place, check, fetch=self._feed.test
        )


def _summary(scores: Tensor) -> dict[str, float]:
    return {"top1": 100 * mean(scores[:, 0]), "top5": 100 * mean(scores[:, 1]), "loss": mean(scores[:, 2])}
