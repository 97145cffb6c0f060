"""Labelled images that stay on disk, encoded, and are read one by one in any order.

They lie in ArrayRecord files (https://github.com/google/array_record), which
give the record of any number at once and check it against a digest: a shuffle
over all images is then a permutation of numbers, whoever reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from favit.data import _index
from favit.data._jpeg import Encoded
from favit.data._missing import DataMissing


@dataclass(frozen=True)
class Part:
    """The training or the test images. Cheap to send to other processes, each of which opens files by itself."""

    folder: Path
    labels: Tensor  # (N,) int64
    paths: tuple[str, ...]  # of shards, as ArrayRecord wants them: path[0:examples]
    names: np.ndarray | None = None  # (N,) image files below the folder, where there are no shards

    def __len__(self) -> int:
        return len(self.labels)

    def encoded(self, indices: Sequence[int]) -> list[Encoded]:
        """The images of these numbers. ``ValueError`` naming one that is damaged."""
        found = []
        for i in indices:
            try:
                found.append(Encoded(self._bytes_of(i)))
            except ValueError as error:
                raise ValueError(f"image {i} in {self.folder}: {error}") from None
        return found

    def _bytes_of(self, index: int) -> bytes:
        if self.names is None:
            return self._records[index]
        path = self.folder / self.names[index].decode()
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise DataMissing(path, "it was there when the data set was prepared") from None

    @cached_property
    def _records(self) -> Any:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        return ArrayRecordDataSource(self.paths)


@dataclass(frozen=True)
class StoredImages:
    """A data set of photographs of any size. ``mean`` and ``std`` are those of the training pixels, in [0, 1]."""

    train: Part
    test: Part
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    class_names: tuple[str, ...]

    def limited(self, train: int, test: int) -> StoredImages:
        """The first ``train`` and ``test`` images; 0 keeps all."""
        return replace(self, train=_first(self.train, train), test=_first(self.test, test))


# Of ImageNet's training pixels, as torchvision and timm give them; customary for all photographs.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load(folder: Path, classes: int) -> StoredImages:
    """A prepared data set.

    Raises ``DataMissing`` for what is not there in full and ``ValueError`` for
    what does not belong together, each in one line.
    """
    index = _index.read(folder)
    if len(index.classes) != classes:
        raise ValueError(f"{folder / _index.NAME}: {len(index.classes)} classes, not {classes}")
    train, test = (_part(index, name, folder) for name in _index.PARTS)
    return StoredImages(train, test, MEAN, STD, index.classes)


def _part(index: _index.Index, name: str, folder: Path) -> Part:
    part = index.parts[name]
    labels, names = _index.labels_and_names(part, folder)
    packed = index.images == _index.PACKED
    return Part(
        folder,
        torch.tensor(labels),
        tuple(f"{folder / shard.file}[0:{shard.examples}]" for shard in part.shards if packed),
        None if packed else np.array([n.encode() for n in names]),
    )


def _first(part: Part, n: int) -> Part:
    return replace(part, labels=part.labels[:n]) if n else part
