"""Mixup (Zhang et al. 2017, arXiv 1710.09412) and CutMix (Yun et al. 2019, arXiv 1905.04899), one draw a batch.

As in timm's batch mode: each batch is mixed with itself in reverse, by mixup or
CutMix with equal chances where both are on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from favit.train.augment.boxes import uniform


@dataclass(frozen=True)
class Mix:
    """How a batch is mixed: each image keeps the share ``lam``, or all but a box."""

    lam: float = 1.0
    box: tuple[int, int, int, int] | None = None  # top, bottom, left, right
    at_once: int | None = None  # pairs, where that is faster than all together

    def images(self, images: Tensor) -> Tensor:
        """Mix (B, C, H, W) with its reverse, in place: first with last, second with last but one."""
        if self.lam == 1.0:
            return images
        pairs = len(images) // 2
        for i in range(0, pairs, self.at_once or pairs):
            j = min(i + (self.at_once or pairs), pairs)
            first, last = images[i:j], images[len(images) - j : len(images) - i]
            self._exchange(first, _reversed(last), last)
        return images

    def gathered(self, images: Tensor, own: Tensor, partner: Tensor) -> Tensor:
        """New images, mixed: of ``images`` each takes place ``own`` (b,) and is mixed with ``partner``, its reverse."""
        mixed = images.index_select(0, own)
        if self.box is not None:
            top, bottom, left, right = self.box
            mixed[..., top:bottom, left:right] = images[..., top:bottom, left:right].index_select(0, partner)
        elif self.lam != 1.0:
            mixed.lerp_(images.index_select(0, partner), 1 - self.lam)
        return mixed

    def _exchange(self, first: Tensor, partner: Tensor, last: Tensor) -> None:
        """``first`` with its ``partner``s, a reversed copy of ``last``."""
        if self.box is None:
            last.copy_(_reversed(torch.lerp(first, partner, self.lam)))
            first.lerp_(partner, 1 - self.lam)
        else:
            top, bottom, left, right = self.box
            last[..., top:bottom, left:right] = _reversed(first[..., top:bottom, left:right])
            first[..., top:bottom, left:right] = partner[..., top:bottom, left:right]

    def targets(self, labels: Tensor, classes: int, smoothing: float) -> Tensor:
        """Smoothed one-hot targets mixed alike: (B,) to (B, classes)."""
        right = (torch.ones(()) * (1 - smoothing) + smoothing / classes).item()
        hot = torch.full((len(labels), classes), smoothing / classes, device=labels.device)
        hot.scatter_(1, labels[:, None], right)
        return hot if self.lam == 1.0 else torch.lerp(_reversed(hot), hot, self.lam)


def _reversed(batch: Tensor) -> Tensor:
    # On the CPU ``flip`` goes number by number, this image by image: six times as fast
    return batch.index_select(0, torch.arange(len(batch) - 1, -1, -1, device=batch.device))


def draw(height: int, width: int, mixup: float, cutmix: float, generator: torch.Generator) -> Mix:
    """Draw how to mix one batch of images; ``mixup`` and ``cutmix`` are the alphas of Beta(alpha, alpha), 0: off."""
    if not (mixup or cutmix):
        return Mix()
    cuts = bool(cutmix) and (not mixup or _number(generator) < 0.5)
    lam = _beta(cutmix if cuts else mixup, generator)
    if not cuts:
        return Mix(lam)
    return _cut(height, width, lam, generator)


def _cut(height: int, width: int, lam: float, generator: torch.Generator) -> Mix:
    """A box of the share 1 - lam centred anywhere, clipped to the image, and the share that then remains."""
    h, w = int(height * math.sqrt(1 - lam)), int(width * math.sqrt(1 - lam))
    y, x = int(_number(generator) * height), int(_number(generator) * width)
    top, bottom = max(y - h // 2, 0), min(y + h // 2, height)
    left, right = max(x - w // 2, 0), min(x + w // 2, width)
    return Mix(1 - (bottom - top) * (right - left) / (height * width), (top, bottom, left, right))


def _number(generator: torch.Generator) -> float:
    return uniform((), 0, 1, generator).item()


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Beta(alpha, alpha) as a ratio of two gammas."""
    concentration = torch.full((2,), alpha, dtype=torch.float64)
    a, b = torch._standard_gamma(concentration, generator=generator).tolist()
    share: float = a / (a + b)
    return share
