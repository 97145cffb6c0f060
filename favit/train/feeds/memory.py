"""Images that fit on the device: they cross to it once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from favit.train.distributed import World
from favit.train.order import Batch
from favit.train.settings import Images


class Feed:
    """All images of a data set, as bytes on the device."""

    cropped = False
    on_cpu = False

    def __init__(
        self, data: Any, chosen: Images, seed: int, device: torch.device, world: World, workers: int
    ) -> None:
        self.mean, self.std, self.classes = data.mean, data.std, len(data.class_names)
        self.train_examples = len(data.train_labels)
        self.test_labels = data.test_labels
        self._train = data.train_images.to(device), data.train_labels.to(device)
        self._test = data.test_images.to(device), data.test_labels.to(device)

    def train(self, batches: Iterable[Batch], epoch: int) -> Iterator[tuple[Batch, Tensor, Tensor]]:
        """Each batch with its whole images and labels."""
        images, labels = self._train
        for batch in batches:
            yield batch, images[batch.indices], labels[batch.indices]

    def test(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch of indices with its whole test images and labels."""
        images, labels = self._test
        for indices in batches:
            yield images[indices], labels[indices]
