"""From bytes to what the model sees: the order of the transforms, as in timm's training pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from favit.train import seeds
from favit.train.augment import jitter, mix, randaugment
from favit.train.augment.boxes import uniform
from favit.train.augment.crop import random_crops, whole
from favit.train.augment.erase import erase
from favit.train.augment.resize import crop_resize

Colour = tuple[float, float, float]


def standardise(images: Tensor, mean: Colour, std: Colour) -> Tensor:
    """(B, 3, H, W) from 0 to 255 to mean 0 and variance 1 over the training set, in place."""
    shift = torch.tensor(mean, device=images.device)[:, None, None] * 255
    scale = torch.tensor(std, device=images.device)[:, None, None] * 255
    return images.sub_(shift).div_(scale)


@torch.no_grad()
def prepare(images: Tensor, size: int, interpolation: str, mean: Colour, std: Colour) -> Tensor:
    """Images for scoring: resized to ``size`` and standardised, nothing random."""
    box = whole(*images.shape[-2:])
    return standardise(crop_resize(images, box, size, interpolation), mean, std)


class Augmentation:
    """A run's training transforms, seeded by its seed and the step.

    Crop, mirror; RandAugment or colour jitter; standardise; erase; mix.
    """

    def __init__(
        self, run: Mapping[str, Any], mean: Colour, std: Colour, classes: int, device: torch.device
    ) -> None:
        self._run, self._mean, self._std, self._classes = run, mean, std, classes
        self._noise = torch.Generator(device)
        self._policy = randaugment.Policy.parse(run["randaugment"]) if run["randaugment"] else None
        self._fill = torch.tensor([min(255.0, float(round(255 * x))) for x in mean], device=device)
        if self._policy and run["color_jitter"]:
            raise ValueError("color_jitter and randaugment exclude each other: set one of them to 0 or ''")

    @torch.no_grad()
    def __call__(self, images: Tensor, labels: Tensor, where: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Bytes (b, 3, H, W) and labels (b,) to images (b, 3, S, S) float32 and targets (b, classes)."""
        run, (height, width) = self._run, images.shape[-2:]
        generator = seeds.generator(run["seed"], "augment", *where)
        self._noise.manual_seed(seeds.derive(run["seed"], "noise", *where))

        cropped = run["crop_scale_min"] < 1
        boxes = (
            random_crops(len(images), height, width, run["crop_scale_min"], generator)
            if cropped
            else whole(height, width).expand(len(images), -1)
        )
        flip = uniform((len(images),), 0, 1, generator) < run["flip"]
        x = crop_resize(images, boxes, run["image_size"], run["interpolation"], flip)
        if self._policy:
            x = randaugment.apply(x, self._policy.draw(len(x), generator), self._fill, run["interpolation"])
        elif run["color_jitter"]:
            x = jitter.apply(x, *jitter.draw(len(x), run["color_jitter"], generator))
        x = standardise(x, self._mean, self._std)
        if run["erasing"]:
            x = erase(x, run["erasing"], generator, self._noise)
        mixed = mix.draw(run["image_size"], run["image_size"], run["mixup"], run["cutmix"], generator)
        return mixed.images(x), mixed.targets(labels, self._classes, run["label_smoothing"])
