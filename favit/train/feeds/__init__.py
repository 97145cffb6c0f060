"""Feeds bring images to the device: from memory, or decoded from disk by other processes.

A data set's ``FEED`` names the module; ``Feed`` there is what a task asks for batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from torch import Tensor

from favit.train.order import Batch


class Feed(Protocol):
    """A data set's images, on their way to one process's device."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    classes: int
    train_examples: int
    test_labels: Tensor  # (M,) int64
    cropped: bool  # whether the images come cropped and of the run's size; if not they come whole
    on_cpu: bool  # whether it wants indices on the CPU

    def train(self, batches: Iterable[Batch], epoch: int) -> Iterator[tuple[Batch, Tensor, Tensor]]:
        """Each batch with its images (b, 3, H, W) uint8 and labels (b,), on the device."""
        ...

    def test(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The test images and labels of batches of indices (b,), in the same form."""
        ...
