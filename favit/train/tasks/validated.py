"""Image classification with a part of the training images held back: each epoch is scored on it, the test waits.

The part is drawn from each class alike, by a seed that no run has a say in: all arms and all seeds of a sweep are
trained and validated on the same images. A data set that brings a validation part of its own, an attribute
``validation`` of what its file loads (images and labels; of stored images a part like ``train``), has it taken whole,
and trains on all of its training images.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from favit.components import registry
from favit.components.facts import feed_of
from favit.train import seeds
from favit.train.distributed import World
from favit.train.feeds import Feed
from favit.train.order import Batch, Order
from favit.train.settings import Images, Optimisation, Validation, parse
from favit.train.task import Check, FinalScores, Model, Selection
from favit.train.tasks import classification

SEED = 0
"""Of the split."""


class Task(classification.Task):
    """A classifier that trains on one part of the training images and is scored on the other."""

    selection = Selection("validation", "top1", higher_is_better=True, decides=False)

    def __init__(
        self, run: Mapping[str, Any], root: Path, device: torch.device, world: World, workers: int = 0
    ) -> None:
        super().__init__(run, root, device, world, workers)
        images, chosen = parse(Images, run), parse(Optimisation, run)
        data = registry.load("data", run["dataset"]).load(root, run).limited(images.limit_train, 0)
        labels = data.train.labels if hasattr(data, "train") else data.train_labels
        official = getattr(data, "validation", None)
        if official is None:
            trained, validated = split(labels, parse(Validation, run).validation_split)
            whole = _tested_on(data, data.train if hasattr(data, "train") else (data.train_images, labels))
        else:
            whole = _tested_on(data, official)
            trained, validated = torch.arange(len(labels)), torch.arange(_count(official))
        feeds = importlib.import_module(f"favit.train.feeds.{feed_of(run['dataset'])}")
        self._test_feed: Feed = self._feed
        self._validation_feed: Feed = feeds.Feed(whole, images, chosen.seed, device, world, workers)
        place = "cpu" if self._feed.on_cpu else device
        self._trained, self._validated = trained.to(place), validated.to(place)
        self.train_examples = len(trained)
        self.order = Order(
            self.train_examples,
            chosen.batch_size,
            images.drop_last,
            chosen.seed,
            on_cpu=self._feed.on_cpu,
            repeats=images.repeats,
        )

    def batches(self, batches: Iterator[Batch], epoch: int) -> Iterator[tuple[Batch, Any]]:
        """Those of training, of the images that are trained on."""
        chosen = (replace(batch, indices=self._trained[batch.indices]) for batch in batches)
        return super().batches(chosen, epoch)

    def evaluate(self, model: Model, check: Check) -> dict[str, float]:
        """Top-1 and top-5 in percent and the mean cross-entropy on the validation images; the test is not looked at."""
        whole = self._feed, self.test_examples
        self._feed = cast(Feed, _Chosen(self._validation_feed, self._validated))
        self.test_examples = len(self._validated)
        try:
            return super().evaluate(model, check)
        finally:
            self._feed, self.test_examples = whole

    def finish(self, model: Model, check: Check) -> FinalScores:
        """The scores of the test images, beside those of validation: ``validation`` in the result."""
        validation = self.evaluate(model, check)
        found = super().finish(model, check)
        extra = {"validation": {**validation, "examples": len(self._validated)}}
        return FinalScores(found.metrics, found.predictions, {**found.extra, **extra})


class _Chosen:
    """Some of the images of a feed, as if they were its test images."""

    def __init__(self, feed: Feed, places: Tensor) -> None:
        self._feed, self._places = feed, places
        self.on_cpu = feed.on_cpu

    def test(self, batches: Any) -> Iterator[tuple[Tensor, Tensor]]:
        return self._feed.test(self._places[indices] for indices in batches)


def split(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Numbers, sorted, of the images that are trained on and of those that validate: ``share`` of each class.

    labels: (N,). The nearest whole number of each class, but one at least, and one at least is left. The same for
    equal labels, whatever the run. Raises ``ValueError`` if a class has one image only.
    """
    held_back = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        places = (labels == label).nonzero()[:, 0]
        if len(places) < 2:
            raise ValueError(f"validation_split: class {label} has one training image, which cannot be split")
        count = min(max(1, round(share * len(places))), len(places) - 1)
        shuffled = torch.randperm(len(places), generator=seeds.generator(SEED, "validation", label))
        held_back[places[shuffled[:count]]] = True
    return (~held_back).nonzero()[:, 0], held_back.nonzero()[:, 0]


def _tested_on(data: Any, part: Any) -> Any:
    """The data with ``part`` in place of the test images."""
    if hasattr(data, "train"):
        return replace(data, test=part)
    images, labels = part
    return replace(data, test_images=images, test_labels=labels)


def _count(part: Any) -> int:
    return len(part[1]) if isinstance(part, tuple) else len(part)
