"""CIFAR-100 from the official Python archive.

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images": 60,000
colour images of 32 x 32 in 100 classes, 500 of each for training and 100 for
the test.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from favit.data._images import ImageData
from favit.data._missing import DataMissing

TASK = "classification"
FACTS = {"classes": 100, "channels": 3, "image_size": 32}
FILES = {"cifar-100-python/train": "", "cifar-100-python/test": "", "cifar-100-python/meta": ""}
SOURCES = {
    "cifar-100-python.tar.gz": {
        "url": "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "md5": "eb9058c3a382ffc7106e4002c42a8d85",
    },
}

# Of the training pixels; a test computes them anew where the data is.
_MEAN = (0.50708, 0.48655, 0.44092)
_STD = (0.26733, 0.25644, 0.27615)


def load(root: Path, run: Mapping[str, Any]) -> ImageData:
    """Images with their fine labels, in the archive's order. ``DataMissing`` names a missing file."""
    folder = Path(root) / "cifar-100-python"
    train, test, meta = (_unpickle(folder / part) for part in ("train", "test", "meta"))
    return ImageData(
        *_images_and_labels(train),
        *_images_and_labels(test),
        mean=_MEAN,
        std=_STD,
        class_names=tuple(name.decode() for name in meta[b"fine_label_names"]),
    )


def _unpickle(path: Path) -> dict[bytes, Any]:
    if not path.is_file():
        raise DataMissing(path)
    try:
        with path.open("rb") as file:
            return pickle.load(file, encoding="bytes")
    except (EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete it and fetch it again with `snakemake data`"
        ) from None


def _images_and_labels(part: dict[bytes, Any]) -> tuple[Tensor, Tensor]:
    images = np.ascontiguousarray(part[b"data"]).reshape(-1, 3, 32, 32)
    return torch.from_numpy(images), torch.tensor(part[b"fine_labels"])
