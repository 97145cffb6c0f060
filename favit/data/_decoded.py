"""Pictures of any size and kind, decoded once and held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from favit.data._pictures import Listed, Named

_SHOWN = 5  # of the pictures that cannot be read


class Decoded:
    """One picture: what ``favit.train.feeds.stored`` asks of an encoded one."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def decode(self) -> np.ndarray:
        """Pixels (height, width, 3) uint8."""
        return self._pixels


@dataclass(frozen=True)
class Part:
    """The training or the test pictures."""

    labels: Tensor  # (N,) int64
    pictures: tuple[Decoded, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def encoded(self, indices: Sequence[int]) -> list[Decoded]:
        """The pictures of these numbers."""
        return [self.pictures[i] for i in indices]


@dataclass(frozen=True)
class Pictures:
    """A data set of pictures in memory. ``mean`` and ``std`` are those of the training pixels a channel, in [0, 1]."""

    train: Part
    test: Part
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    class_names: tuple[str, ...]

    @property
    def facts(self) -> dict[str, int]:
        """What a model must know: the number of classes, and of channels."""
        return {"classes": len(self.class_names), "channels": 3}

    def limited(self, train: int, test: int) -> Pictures:
        """The first ``train`` and ``test`` pictures; 0 keeps all."""
        return replace(self, train=_first(self.train, train), test=_first(self.test, test))


def load(folder: Path, found: Listed, memory_mb: int) -> Pictures:
    """Decode all pictures.

    ``ValueError`` names those that cannot be read, or says how much memory they would take where it is more than
    ``memory_mb``.
    """
    _check_memory(folder, [name for _, name in (*found.train, *found.test)], memory_mb)
    damaged: list[str] = []
    train, test = _decoded(folder, found.train, damaged), _decoded(folder, found.test, damaged)
    if damaged:
        more = f", and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        raise ValueError(
            f"{folder}: {len(damaged)} pictures cannot be read: {', '.join(damaged[:_SHOWN])}{more}; remove or replace "
            "them"
        )
    mean, std = _statistics(train.pictures)
    return Pictures(train, test, mean, std, found.classes)


def read(path: Path) -> np.ndarray:
    """The first frame of a picture as (height, width, 3) uint8. ``ValueError`` for what is none, or is cut short.

    Grey becomes three equal channels, transparency is dropped, and of 16 bits the upper 8 are kept.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                grey = np.asarray(image)
                if image.mode == "F" or grey.min() < 0 or grey.max() > 65535:
                    raise ValueError("its pixels are neither of 8 nor of 16 bits")
                return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from None


def _decoded(folder: Path, named: Sequence[Named], damaged: list[str]) -> Part:
    pictures = []
    for _, name in named:
        try:
            pictures.append(Decoded(read(folder / name)))
        except ValueError as error:
            damaged.append(f"{name} ({' '.join(str(error).replace(str(folder), '').split())})")
    return Part(torch.tensor([label for label, _ in named]), tuple(pictures))


def _check_memory(folder: Path, names: Sequence[str], memory_mb: int) -> None:
    """From the files' headers alone; what has none is told later."""
    size = 0
    for name in names:
        try:
            with Image.open(folder / name) as image:
                size += 3 * image.width * image.height
        except (OSError, SyntaxError, Image.DecompressionBombError):
            continue
    if size > memory_mb * 1_000_000:
        raise ValueError(
            f"{folder}: {len(names)} pictures take {size / 1e6:,.0f} MB in memory, and dataset.memory_mb allows "
            f"{memory_mb:,}; raise it, or pack them once with `favit prepare --folder {folder}`"
        )


def _statistics(pictures: Sequence[Decoded]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation of each channel over all pixels; a deviation of 0 counts as 1."""
    pixels, total, squares = 0, np.zeros(3), np.zeros(3)
    for picture in pictures:
        x = picture.decode().reshape(-1, 3).astype(np.float64) / 255
        pixels, total, squares = pixels + len(x), total + x.sum(0), squares + np.square(x).sum(0)
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    std = np.where(std > 1e-6, std, 1.0)
    (a, b, c), (d, e, f) = mean.tolist(), std.tolist()
    return (a, b, c), (d, e, f)


def _first(part: Part, n: int) -> Part:
    return Part(part.labels[:n], part.pictures[:n]) if n else part
