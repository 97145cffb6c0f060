"""From bytes to what the model sees: the order of the transforms, as in timm's training pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from favit.train import seeds, transfer
from favit.train.augment import grouped, jitter, mix, randaugment
from favit.train.augment.boxes import uniform
from favit.train.augment.crop import random_crops, whole
from favit.train.augment.erase import Box, erase, random_erasures
from favit.train.augment.resize import Crops, crop_resize, exact_products, mirror
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
    a few images at a time go through all of it, while they are in the cache; on a
    GPU the whole batch does, grouped by transform.
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
        self._on_gpu = OnGpu(chosen, self._standard, self._fill) if device.type == "cuda" else None

    @torch.no_grad()
    def __call__(self, images: Tensor, labels: Tensor, where: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Bytes (b, 3, H, W) and labels (b,) to images (b, 3, S, S) float32 and targets (b, classes)."""
        chosen, n, (height, width) = self._chosen, len(images), images.shape[-2:]
        self._noise.manual_seed(seeds.derive(self._seed, "noise", *where))
        drawn = self._draw(n, height, width, seeds.generator(self._seed, "augment", *where))
        if self._on_gpu:
            targets = drawn.mix.targets(labels, self._classes, chosen.label_smoothing)
            return self._on_gpu(images, drawn, self._noise), targets
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


class OnGpu:
    """The transforms of a batch in few launches, and one copy of all that was drawn for it."""

    def __init__(self, chosen: Images, standard: Standard, fill: Tensor) -> None:
        self._chosen, self._standard, self._device = chosen, standard, fill.device
        self._grouped = grouped.Grouped(
            chosen.image_size, fill, chosen.interpolation, rich=bool(chosen.randaugment)
        )
        self._crops: dict[tuple[int, int], Crops] = {}

    def __call__(self, images: Tensor, drawn: _Drawn, noise: torch.Generator) -> Tensor:
        """Bytes (b, 3, H, W) to images (b, 3, S, S), augmented, standardised and mixed."""
        size, crops = self._chosen.image_size, self._crops_of(images)
        rounds = drawn.transforms or jitter.rounds(drawn.jitter)
        plans = [grouped.plan(operation) for operation, _ in rounds]
        # Images are kept in the order of the next round: each round's order is taken from the one before
        orders = [plan.order for plan in plans] or [torch.arange(len(images))]
        sent = {"order 0": orders[0], "flip": drawn.flip[orders[0]]}
        boxes = drawn.boxes[orders[0]]
        sent |= crops.indices(boxes, sent["flip"]) if crops else {"boxes": boxes}
        for i, (plan, one) in enumerate(zip(plans, rounds, strict=True)):
            sent |= {f"{i} {name}": part for name, part in grouped.drawn_for(plan, one, size).items()}
            if i:
                sent[f"order {i}"] = orders[i - 1].argsort()[orders[i]]
        own = orders[-1].argsort()
        sent |= {"own": own, "partner": own.flip(0), **_holes(drawn.erasures, orders[-1], size)}
        there = transfer.together(sent, self._device)
        x = self._cropped(images.index_select(0, there["order 0"]), crops, there)
        with exact_products():
            for i, plan in enumerate(plans):
                x = x.index_select(0, there[f"order {i}"]) if i else x
                parts = ("tables", "counts", "factors", "matrices")
                self._grouped.apply(x, plan, {name: there[f"{i} {name}"] for name in parts})
        self._standard.apply(x)
        if drawn.erasures:
            pixels = torch.randn(x.shape, generator=noise, device=x.device)
            hole = there["hole rows"][:, None, :, None] & there["hole columns"][:, None, None]
            torch.where(hole, pixels, x, out=x)
        return drawn.mix.gathered(x, there["own"], there["partner"])

    def _crops_of(self, images: Tensor) -> Crops | None:
        """The matrices of crops where there are crops, and memory for them."""
        height, width = images.shape[2:]
        size = self._chosen.image_size
        if self._is_whole(images) or not Crops.may_be_kept(height, width, size):
            return None
        if (height, width) not in self._crops:
            crops = Crops(height, width, size, self._chosen.interpolation, self._device)
            self._crops[height, width] = crops
        return self._crops[height, width]

    def _is_whole(self, images: Tensor) -> bool:
        size = self._chosen.image_size
        return self._chosen.crop_scale_min >= 1 and images.shape[2:] == (size, size)

    def _cropped(self, images: Tensor, crops: Crops | None, there: dict[str, Tensor]) -> Tensor:
        if crops:
            return crops.apply(images, there["rows"], there["columns"])
        if self._is_whole(images):
            x = images.float()
            return torch.where(there["flip"][:, None, None, None], x.flip(3), x)
        chosen = self._chosen
        return crop_resize(images, there["boxes"], chosen.image_size, chosen.interpolation, there["flip"])


def _holes(erasures: dict[int, Box], order: Tensor, size: int) -> dict[str, Tensor]:
    """The rows and the columns that are erased of the images in this order, (b, size) bool each; {} of none."""
    if not erasures:
        return {}
    place = torch.arange(size)
    boxes = torch.tensor([erasures.get(i, (0, 0, 0, 0)) for i in order.tolist()])[:, :, None]
    top, left, height, width = boxes.unbind(1)
    rows, columns = (place >= top) & (place < top + height), (place >= left) & (place < left + width)
    return {"hole rows": rows, "hole columns": columns}


def _slices(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]
