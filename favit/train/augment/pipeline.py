"""From bytes to what the model sees: the order of the transforms, as in timm's training pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from favit.train import seeds
from favit.train.augment import jitter, mix, randaugment
from favit.train.augment.boxes import uniform
from favit.train.augment.crop import random_crops, whole
from favit.train.augment.erase import Box, erase, random_erasures
from favit.train.augment.resize import crop_resize, mirror
from favit.train.settings import Images, check_images

Colour = tuple[float, float, float]

_AT_ONCE_ON_CPU = 8


class Standard:
    """Maps 0 to 255 to what has mean 0 and variance 1 where the pixels have these statistics, channel by channel."""

    def __init__(self, mean: Colour, std: Colour, device: torch.device) -> None:
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device)[:, None, None]
        shift = [-m / s for m, s in zip(mean, std, strict=True)]
        self._shift = torch.tensor(shift, device=device)[:, None, None]

    def apply(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in place, in one pass over the pixels."""
        return torch.addcmul(self._shift, images, self._scale, out=images)


@torch.no_grad()
def prepare(images: Tensor, size: int, interpolation: str, standard: Standard, share: float = 1.0) -> Tensor:
    """Images for scoring: resized to ``size`` / ``share``, its centre kept; standardised; nothing random."""
    resized = int(size / share)
    if images.shape[-2:] == (resized, resized):
        x = images.float()
    else:
        x = crop_resize(images, whole(*images.shape[-2:]), resized, interpolation)
    edge = round((resized - size) / 2)
    return standard.apply(x[..., edge : edge + size, edge : edge + size].contiguous())


@dataclass(frozen=True)
class _Drawn:
    """All that is random about a batch of b images, on the CPU."""

    boxes: Tensor  # (b, 4) crops
    flip: Tensor  # (b,) bool
    transforms: list[tuple[Tensor, Tensor]]  # RandAugment's layers
    jitter: tuple[Tensor, Tensor] | None
    erasures: dict[int, Box]
    mix: mix.Mix

    def part(self, some: slice) -> _Drawn:
        """What was drawn for some of the images."""
        return replace(
            self,
            boxes=self.boxes[some],
            flip=self.flip[some],
            transforms=[(operation[some], argument[some]) for operation, argument in self.transforms],
            jitter=self.jitter and (self.jitter[0][some], self.jitter[1][some]),
            erasures={i - some.start: box for i, box in self.erasures.items() if some.start <= i < some.stop},
        )


class Augmentation:
    """A run's training transforms, seeded by its seed and the step.

    Crop, mirror; RandAugment or colour jitter; standardise; erase; mix. On a CPU
    a few images at a time go through all of it, while they are in the cache.
    """

    def __init__(
        self, chosen: Images, seed: int, mean: Colour, std: Colour, classes: int, device: torch.device
    ) -> None:
        self._chosen, self._seed, self._classes = chosen, seed, classes
        self._standard = Standard(mean, std, device)
        self._noise = torch.Generator(device)
        self._policy = randaugment.Policy.parse(chosen.randaugment) if chosen.randaugment else None
        self._fill = torch.tensor([min(255.0, float(round(255 * x))) for x in mean], device=device)
        self._at_once = _AT_ONCE_ON_CPU if device.type == "cpu" else None
        check_images(chosen.color_jitter, chosen.randaugment)

    @torch.no_grad()
    def __call__(self, images: Tensor, labels: Tensor, where: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Bytes (b, 3, H, W) and labels (b,) to images (b, 3, S, S) float32 and targets (b, classes)."""
        chosen, n, (height, width) = self._chosen, len(images), images.shape[-2:]
        self._noise.manual_seed(seeds.derive(self._seed, "noise", *where))
        drawn = self._draw(n, height, width, seeds.generator(self._seed, "augment", *where))
        x = torch.empty(n, 3, chosen.image_size, chosen.image_size, device=images.device)
        for some in _slices(n, self._at_once or n):
            self._transform(images[some], drawn.part(some), x[some])
        targets = drawn.mix.targets(labels, self._classes, chosen.label_smoothing)
        return replace(drawn.mix, at_once=self._at_once).images(x), targets

    def _draw(self, n: int, height: int, width: int, generator: torch.Generator) -> _Drawn:
        chosen, size = self._chosen, self._chosen.image_size
        return _Drawn(
            boxes=self._boxes(n, height, width, generator),
            flip=uniform((n,), 0, 1, generator) < chosen.flip,
            transforms=self._policy.draw(n, generator) if self._policy else [],
            jitter=jitter.draw(n, chosen.color_jitter, generator) if chosen.color_jitter else None,
            erasures=random_erasures(n, size, size, chosen.erasing, generator) if chosen.erasing else {},
            mix=mix.draw(size, size, chosen.mixup, chosen.cutmix, generator),
        )

    def _boxes(self, n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        if self._chosen.crop_scale_min < 1:
            return random_crops(n, height, width, self._chosen.crop_scale_min, generator)
        return whole(height, width).expand(n, -1)

    def _transform(self, images: Tensor, drawn: _Drawn, x: Tensor) -> None:
        """Fill ``x`` (b, 3, S, S)."""
        chosen = self._chosen
        if chosen.crop_scale_min >= 1 and images.shape == x.shape:
            mirror(images, drawn.flip, out=x)
        else:
            crop_resize(images, drawn.boxes, chosen.image_size, chosen.interpolation, drawn.flip, out=x)
        randaugment.apply(x, drawn.transforms, self._fill, chosen.interpolation)
        if drawn.jitter:
            jitter.apply(x, *drawn.jitter)
        erase(self._standard.apply(x), drawn.erasures, self._noise)


def _slices(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]
