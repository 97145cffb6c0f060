"""Image classification: images on the device, augmented there in batches, cross-entropy, top-1 and top-5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from favit import registry
from favit.train import models
from favit.train.augment.pipeline import Augmentation, Standard, prepare
from favit.train.distributed import World
from favit.train.evaluation import mean, score
from favit.train.order import Batch, Order
from favit.train.task import Check, Result, Selection

SETTINGS = {
    "image_size": 224,
    "interpolation": ("bicubic", "bilinear"),
    "crop_scale_min": 1.0,  # least share of the image that a random resized crop keeps; 1: no crop
    "flip": 0.0,  # probability of a mirror image
    "color_jitter": 0.0,  # strength of brightness, contrast and saturation; not beside RandAugment
    "randaugment": "",  # as timm writes it: m9-mstd0.5-inc1
    "erasing": 0.0,  # probability of a box of noise
    "mixup": 0.0,  # alpha; 0: off
    "cutmix": 0.0,  # alpha; 0: off
    "label_smoothing": 0.0,
    "drop_path": 0.0,
    "channels_last": False,
    "limit_train": 0,  # so many images from the beginning; 0: all
    "limit_test": 0,
}

MINIMUM = {
    "image_size": 1,
    "crop_scale_min": 0.0,
    "flip": 0.0,
    "color_jitter": 0.0,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "label_smoothing": 0.0,
    "drop_path": 0.0,
    "limit_train": 0,
    "limit_test": 0,
}

# One shape for all scoring, whatever the run's batch size.
_SCORED_AT_ONCE = 128


class Task:
    """A classifier and its images, as bytes on the device."""

    unit = "images"
    selection = Selection("test", "top1", higher_is_better=True, decides=False)

    def __init__(self, run: Mapping[str, Any], root: Path, device: torch.device, world: World) -> None:
        module = registry.load("data", run["dataset"])
        data = module.load(root, run).limited(run["limit_train"], run["limit_test"])
        self._run, self._world, self._device = run, world, device
        self._classes = len(data.class_names)
        self._standard = Standard(data.mean, data.std, device)
        self._train = data.train_images.to(device), data.train_labels.to(device)
        self._test = data.test_images.to(device), data.test_labels.to(device)
        self._augmentation = Augmentation(run, data.mean, data.std, self._classes, device)
        self._layout = torch.channels_last if run["channels_last"] else torch.contiguous_format
        self.model: nn.Module = models.build(run, module.FACTS, device)
        self.model.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.train_examples, self.test_examples = len(data.train_labels), len(data.test_labels)
        self.order = Order(self.train_examples, run["batch_size"], drop_last=True, seed=run["seed"])

    def batches(self, batches: Iterator[Batch], epoch: int) -> Iterator[tuple[Batch, Any]]:
        """Augmented images (b, 3, S, S) and their targets (b, classes)."""
        images, labels = self._train
        for batch in batches:
            x, targets = self._augmentation(
                images[batch.indices], labels[batch.indices], (epoch, batch.step, self._world.rank)
            )
            yield batch, (x.contiguous(memory_format=self._layout), targets)

    def losses(self, model: nn.Module, examples: Any) -> Tensor:
        """Each image's cross-entropy with its soft target: (b,)."""
        images, targets = examples
        return F.cross_entropy(model(images), targets, reduction="none")

    def evaluate(self, model: nn.Module, check: Check) -> dict[str, float]:
        """Top-1 and top-5 in percent and the mean cross-entropy on the test images."""
        return _summary(self._scores(model, check))

    def finish(self, model: nn.Module, check: Check) -> Result:
        """The same, with what each image was taken for."""
        scores = self._scores(model, check)
        labels = self._test[1].cpu().numpy().astype(np.uint16)
        predicted = scores[:, 3].numpy().astype(np.uint16)
        predictions = {"labels": labels, "predicted": predicted, "correct5": scores[:, 1].bool().numpy()}
        return Result(_summary(scores), predictions)

    def _scores(self, model: nn.Module, check: Check) -> Tensor:
        """(test images, 4): right first, right among the first five, cross-entropy, predicted class."""
        images, labels = self._test
        size, interpolation = self._run["image_size"], self._run["interpolation"]

        def rows(indices: Tensor) -> Tensor:
            x = prepare(images[indices], size, interpolation, self._standard)
            logits = model(x.contiguous(memory_format=self._layout)).float()
            y = labels[indices]
            best = logits.topk(min(5, self._classes)).indices
            right = best == y[:, None]
            loss = F.cross_entropy(logits, y, reduction="none")
            return torch.stack([right[:, 0].float(), right.any(1).float(), loss, best[:, 0].float()], dim=1)

        return score(len(labels), _SCORED_AT_ONCE, rows, self._world, self._device, check)


def _summary(scores: Tensor) -> dict[str, float]:
    return {"top1": 100 * mean(scores[:, 0]), "top5": 100 * mean(scores[:, 1]), "loss": mean(scores[:, 2])}
