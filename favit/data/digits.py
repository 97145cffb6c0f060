"""Handwritten digits, 8 x 8 pixels in 17 grey levels, from scikit-learn.

1,797 images of the ten digits (Alpaydin and Kaynak 1998, UCI, Optical
Recognition of Handwritten Digits, its test part).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from favit.data._images import ImageData
from favit.data._missing import DataMissing

TASK = "classification"
FACTS = {"classes": 10, "channels": 3, "image_size": 8}
PACKAGE_FILES = {"sklearn": ["datasets/data/digits.csv.gz"]}

_HELD_OUT = 5  # one of so many images of each class is for the test
_BRIGHTEST = 16


def load(root: Path, run: Mapping[str, Any]) -> ImageData:
    """Every fifth image of each class, in file order, is held out; grey becomes three equal channels."""
    grey, labels = _read()
    images = torch.from_numpy((grey * 255 / _BRIGHTEST).round().astype(np.uint8))[:, None].repeat(1, 3, 1, 1)
    held_out = _every_nth_of_each_class(labels)
    pixels = images[~held_out, 0].double() / 255
    return ImageData(
        train_images=images[~held_out],
        train_labels=labels[~held_out],
        test_images=images[held_out],
        test_labels=labels[held_out],
        mean=(pixels.mean().item(),) * 3,
        std=(pixels.std(correction=0).item(),) * 3,
        class_names=tuple(map(str, range(10))),
    )


def _read() -> tuple[np.ndarray, Tensor]:
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataMissing(
            Path("sklearn/datasets/data/digits.csv.gz"),
            "install the package scikit-learn (part of the extra 'demo')",
        ) from None
    digits = load_digits()
    return digits.images, torch.from_numpy(digits.target).long()


def _every_nth_of_each_class(labels: Tensor) -> Tensor:
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        chosen[(labels == label).nonzero()[_HELD_OUT - 1 :: _HELD_OUT]] = True
    return chosen
