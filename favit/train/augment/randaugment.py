"""RandAugment (Cubuk et al. 2019, arXiv 1909.13719) in timm's reading: every transform grows with its level."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from favit.train.augment import colour, geometry
from favit.train.augment.boxes import uniform

_TOP = 10  # the level at which a transform is strongest


@dataclass(frozen=True)
class Policy:
    """How many transforms, how strong: timm's ``m9-mstd0.5-inc1``."""

    magnitude: float = _TOP
    layers: int = 2
    probability: float = 0.5
    magnitude_std: float = 0.0
    magnitude_max: float = _TOP

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read timm's notation, with or without ``rand-`` in front. ``ValueError`` for what is not supported."""
        chosen: dict[str, float] = {}
        for part in text.removeprefix("rand-").split("-"):
            match = re.fullmatch(r"([a-z]+)(\d+(?:\.\d+)?)", part)
            if match is None or match[1] not in _KEYS:
                raise ValueError(
                    f"randaugment: '{part}' in '{text}' is not one of {', '.join(_KEYS)} and a number"
                )
            chosen[match[1]] = float(match[2])
        if not chosen.pop("inc", 0):
            raise ValueError(
                f"randaugment: '{text}' needs inc1; only the transforms that grow with m are there"
            )
        policy = {_KEYS[key]: value for key, value in chosen.items()}
        return cls(**{**policy, "layers": int(policy.get("layers", cls.layers))})  # type: ignore[arg-type]

    def draw(self, n: int, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """Draw for each layer the transform of each image, an index into ``NAMES`` or -1 for none, and its argument."""
        return [self._draw_layer(n, generator) for _ in range(self.layers)]

    def _draw_layer(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        operation = torch.randint(len(NAMES), (n,), generator=generator)
        operation[uniform((n,), 0, 1, generator) >= self.probability] = -1
        noise = torch.randn(n, generator=generator, dtype=torch.float64)
        level = (self.magnitude + self.magnitude_std * noise).clamp(0, self.magnitude_max) / _TOP
        sign = torch.randint(2, (n,), generator=generator).double() * 2 - 1
        argument = torch.stack([transform.argument(level, sign) for transform in _TRANSFORMS.values()])
        return operation, argument.gather(0, operation.clamp(min=0)[None])[0]


_KEYS = {
    "m": "magnitude",
    "n": "layers",
    "p": "probability",
    "mstd": "magnitude_std",
    "mmax": "magnitude_max",
    "inc": "increasing",
}


def apply(images: Tensor, drawn: list[tuple[Tensor, Tensor]], fill: Tensor, interpolation: str) -> Tensor:
    """Transform (B, 3, S, S) float32 of whole numbers 0 to 255 in place, as drawn.

    Images of one transform go together; the five that move pixels are one.
    """
    for operation, argument in drawn:
        present = sorted(set(operation.tolist()) - {-1})
        for index in present:
            change = _TRANSFORMS[NAMES[index]].colour
            if change is not None:
                _replace(images, operation == index, argument, change)
        moving = [index for index in present if index in _MOVING]
        if moving:
            moved = torch.isin(operation, torch.tensor(moving))
            maps = matrices(operation, argument, images.shape[-1])
            _replace(images, moved, maps, lambda x, m: geometry.transform(x, m, fill, interpolation))
    return images


def moves(name: str) -> bool:
    """Whether a transform moves pixels; the others change colours."""
    return _TRANSFORMS[name].move is not None


def change(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A transform of colours: of images and an argument each."""
    found = _TRANSFORMS[name].colour
    assert found is not None
    return found


def matrices(operation: Tensor, argument: Tensor, size: int) -> Tensor:
    """The maps of images that are moved, see ``geometry``: (n, 2, 3); zeros for the others."""
    found = torch.zeros(len(operation), 2, 3, dtype=argument.dtype)
    for index in _MOVING & set(operation.tolist()):
        chosen = operation == index
        move = _TRANSFORMS[NAMES[index]].move
        assert move is not None
        found[chosen] = move(argument[chosen], size)
    return found


def _replace(
    images: Tensor, chosen: Tensor, argument: Tensor, change: Callable[[Tensor, Tensor], Tensor]
) -> None:
    """``change`` the chosen images, with their rows of ``argument``."""
    which = chosen.nonzero()[:, 0]
    if len(which) == 1:  # without a copy
        image = images[which.item() :][:1]
        image.copy_(change(image, argument[which].to(images.device, torch.float32, non_blocking=True)))
        return
    there = which.to(images.device, non_blocking=True)
    argument = argument[which].to(images.device, torch.float32, non_blocking=True)
    images.index_copy_(0, there, change(images.index_select(0, there), argument))


@dataclass(frozen=True)
class _Transform:
    """Turns a level (0 to 1) and a sign into an argument; then either a change of colour or a map of pixels."""

    argument: Callable[[Tensor, Tensor], Tensor]
    colour: Callable[[Tensor, Tensor], Tensor] | None = None
    move: Callable[[Tensor, int], Tensor] | None = None


def _nothing(level: Tensor, sign: Tensor) -> Tensor:
    return torch.zeros_like(level)


def _factor(level: Tensor, sign: Tensor) -> Tensor:
    return (1 + sign * 0.9 * level).clamp(min=0.1)


def _signed(most: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda level, sign: sign * most * level


_TRANSFORMS = {
    "AutoContrast": _Transform(_nothing, colour.auto_contrast),
    "Equalize": _Transform(_nothing, colour.equalize),
    "Invert": _Transform(_nothing, colour.invert),
    "Rotate": _Transform(_signed(30), move=geometry.rotate),
    "PosterizeIncreasing": _Transform(lambda level, sign: 4 - (level * 4).floor(), colour.posterize),
    "SolarizeIncreasing": _Transform(
        lambda level, sign: 256 - (level * 256).floor().clamp(max=256), colour.solarize
    ),
    "SolarizeAdd": _Transform(lambda level, sign: (level * 110).floor().clamp(max=128), colour.solarize_add),
    "ColorIncreasing": _Transform(_factor, colour.saturation),
    "ContrastIncreasing": _Transform(_factor, colour.contrast),
    "BrightnessIncreasing": _Transform(_factor, colour.brightness),
    "SharpnessIncreasing": _Transform(_factor, colour.sharpness),
    "ShearX": _Transform(_signed(0.3), move=geometry.shear_x),
    "ShearY": _Transform(_signed(0.3), move=geometry.shear_y),
    "TranslateXRel": _Transform(_signed(0.45), move=geometry.translate_x),
    "TranslateYRel": _Transform(_signed(0.45), move=geometry.translate_y),
}

NAMES = tuple(_TRANSFORMS)
_MOVING = {i for i, t in enumerate(_TRANSFORMS.values()) if t.move is not None}
