"""Labelled images that fit into memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class ImageData:
    """Training and test images, all of one size, with one label each.

    ``mean`` and ``std`` are those of the training pixels a channel, in [0, 1].
    """

    train_images: Tensor  # (N, 3, H, W) uint8
    train_labels: Tensor  # (N,) int64
    test_images: Tensor  # (M, 3, H, W) uint8
    test_labels: Tensor  # (M,) int64
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    class_names: tuple[str, ...]

    def limited(self, train: int, test: int) -> ImageData:
        """The first ``train`` and ``test`` images; 0 keeps all."""
        train, test = train or len(self.train_labels), test or len(self.test_labels)
        return replace(
            self,
            train_images=self.train_images[:train],
            train_labels=self.train_labels[:train],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
        )
