"""RandAugment and colour jitter of a whole batch on a GPU, in as few launches as there are kinds of transforms.

A launch costs a GPU more than the pixels of a few images. So that transforms work on parts of one tensor, in place,
images are sorted by their transform before each round; what was drawn crosses to the device in one buffer, with the
rest of the batch's. Three kinds remain of fifteen:

* what depends on a pixel's value alone is looked up in a table of 256 entries an image and channel. Tables that
  depend on what was drawn alone are made on the CPU;
* contrast, saturation and sharpness blend an image with another one;
* five move pixels: one affine map an image.

The results are those of ``colour`` and ``geometry``, but for the rounding of coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from favit.train.augment import colour, randaugment

# In the order in which images are sorted; what is in none of these groups is a table that was made on the CPU.
_STRETCHED, _EQUALIZED, _TABLE, _CONTRAST, _SATURATION, _SHARPNESS, _MOVED, _NOTHING = range(8)
_OWN_GROUP = {
    "AutoContrast": _STRETCHED,
    "Equalize": _EQUALIZED,
    "ContrastIncreasing": _CONTRAST,
    "ColorIncreasing": _SATURATION,
    "SharpnessIncreasing": _SHARPNESS,
}
_GREYS = 256
_LUMA = (19595, 38470, 7471)  # Pillow's, out of 65536

Round = tuple[Tensor, Tensor]  # each image's transform, -1 for none, and its argument


@dataclass(frozen=True)
class Plan:
    """One round: the order of its images, and where in it each group ends."""

    order: Tensor  # (b,) int64: places in the batch
    ends: tuple[int, ...]  # by group

    def part(self, first: int, last: int) -> slice:
        """Images of these groups and those between."""
        return slice(self.ends[first - 1] if first else 0, self.ends[last])


def plan(operation: Tensor) -> Plan:
    """Sort the images of a round by what happens to them."""
    groups = torch.tensor([_group(name) for name in randaugment.NAMES] + [_NOTHING])
    group = groups[operation]  # -1, none, is the last
    ends = torch.bincount(group, minlength=_NOTHING + 1).cumsum(0).tolist()
    return Plan(group.argsort(stable=True), tuple(ends))


def drawn_for(plan: Plan, drawn: Round, size: int) -> dict[str, Tensor]:
    """What the device is to know of a round, on the CPU."""
    operation, argument = (part[plan.order] for part in drawn)
    tabled, blended, moved = (
        plan.part(_STRETCHED, _TABLE),
        plan.part(_CONTRAST, _SHARPNESS),
        plan.part(_MOVED, _MOVED),
    )
    equalized = plan.part(_EQUALIZED, _EQUALIZED)
    matrices = randaugment.matrices(operation[moved], argument[moved], size).transpose(1, 2) * (2 / size)
    matrices[:, 2] -= 1  # grid_sample counts from -1 to 1
    return {
        "tables": _tables(operation[tabled], argument[tabled]),
        "counts": torch.zeros((equalized.stop - equalized.start) * 3, _GREYS),
        "factors": argument[blended, None, None, None].float(),
        "matrices": matrices.float(),
    }


def _group(name: str) -> int:
    return _MOVED if randaugment.moves(name) else _OWN_GROUP.get(name, _TABLE)


def _tables(operation: Tensor, argument: Tensor) -> Tensor:
    """What each value becomes: (n, 3, 256); zeros where that depends on the image."""
    tables = torch.zeros(len(operation), 3, _GREYS)
    levels = torch.arange(_GREYS, dtype=torch.float32).expand(len(operation), 1, 1, _GREYS)
    for index in set(operation.tolist()):
        name = randaugment.NAMES[index]
        if _group(name) == _TABLE:
            which = operation == index
            tables[which] = randaugment.change(name)(levels[which], argument[which].float())[:, 0]
    return tables


class Grouped:
    """The transforms of rounds, with the constants that they need on the device."""

    def __init__(self, size: int, fill: Tensor, interpolation: str, rich: bool) -> None:
        """``size``: pixels a side. ``fill``: (3,) of what lies outside. ``rich``: RandAugment, not jitter alone."""
        device = fill.device
        self._size, self._fill, self._interpolation = size, fill[:, None, None], interpolation
        self._levels = torch.arange(_GREYS, dtype=torch.float32, device=device)
        self._luma = (torch.tensor(_LUMA) / 65536).to(device).view(1, 1, 3)
        if not rich:
            return
        self._one = torch.ones((), device=device)
        self._steps = torch.tensor([255.0, 510.0]).to(device)
        self._below = torch.ones(_GREYS, _GREYS, device=device).triu(
            1
        )  # a product with it sums what is smaller
        self._stretches = _every_stretch(device)
        # The window of ``colour.sharpness``; 6.5 of 13 is the half that rounds
        self._window = torch.ones(3, 1, 3, 3, device=device)
        self._window[:, :, 1, 1] = 5
        self._half = torch.full((3,), 6.5, device=device)
        centres = torch.arange(size, device=device) + 0.5
        x, y = centres.expand(size, -1), centres[:, None].expand(-1, size)
        self._centres = torch.stack([x, y, torch.ones_like(x)], dim=2).view(1, size * size, 3)

    def apply(self, x: Tensor, plan: Plan, there: dict[str, Tensor]) -> None:
        """One round, in place: (b, 3, S, S) float32 of whole numbers 0 to 255, in the order of the plan."""
        self._look_up(x, plan, there)
        self._blend(x, plan, there["factors"])
        self._move(x[plan.part(_MOVED, _MOVED)], there["matrices"])
        rounded = x[plan.part(_CONTRAST, _MOVED)]
        if len(rounded):
            rounded.floor_().clamp_(0, 255)

    def _look_up(self, x: Tensor, plan: Plan, there: dict[str, Tensor]) -> None:
        pixels = x[plan.part(_STRETCHED, _TABLE)].flatten(2)
        if not len(pixels):
            return
        values, tables = pixels.long(), there["tables"]
        stretched, equalized = plan.part(_STRETCHED, _STRETCHED), plan.part(_EQUALIZED, _EQUALIZED)
        if equalized.stop:
            low, high = values[: equalized.stop].aminmax(dim=2)
        if stretched.stop:
            pairs = torch.add(high[stretched], low[stretched], alpha=_GREYS).view(-1)
            torch.index_select(self._stretches, 0, pairs, out=tables[stretched].view(-1, _GREYS))
        if equalized.start < equalized.stop:
            counts = there["counts"]
            found = tables[equalized].view(-1, _GREYS)
            self._equalize(values[equalized].flatten(0, 1), high[equalized].view(-1, 1), counts, found)
        torch.gather(tables, 2, values, out=pixels)

    def _equalize(self, values: Tensor, high: Tensor, counts: Tensor, found: Tensor) -> None:
        """``colour.equalize`` of rows of pixels; whole numbers below 2^24 are exact in float32."""
        counts.scatter_add_(1, values, self._one.expand_as(values))
        darker = counts @ self._below
        step, half = torch.div(darker.gather(1, high), self._steps, rounding_mode="floor").split(1, dim=1)
        even = torch.div(darker.add_(half), step.clamp(min=1), rounding_mode="floor").clamp_(max=255)
        torch.where(step > 0, even, self._levels, out=found)

    def _blend(self, x: Tensor, plan: Plan, factors: Tensor) -> None:
        """Without rounding."""
        contrast, saturation = plan.part(_CONTRAST, _CONTRAST), plan.part(_SATURATION, _SATURATION)
        sharpness, first = plan.part(_SHARPNESS, _SHARPNESS), contrast.start
        coloured = x[contrast.start : saturation.stop]
        if len(coloured):
            grey = torch.bmm(self._luma.expand(len(coloured), 1, 3), coloured.flatten(2)).add_(0.5).floor_()
            grey = grey.view(-1, 1, *x.shape[2:])
        if contrast.start < contrast.stop:
            mean = grey[: contrast.stop - first].mean((1, 2, 3), keepdim=True, dtype=torch.float64)
            _towards(mean.add_(0.5).floor_().float(), x[contrast], factors[: contrast.stop - first])
        if saturation.start < saturation.stop:
            _towards(
                grey[saturation.start - first :],
                x[saturation],
                factors[saturation.start - first : saturation.stop - first],
            )
        if sharpness.start < sharpness.stop:
            images = x[sharpness]
            smooth = F.conv2d(images, self._window, self._half, groups=3).div_(13).floor_()
            _towards(smooth, images[..., 1:-1, 1:-1], factors[sharpness.start - first :])

    def _move(self, images: Tensor, matrices: Tensor) -> None:
        """Without rounding down; see ``geometry.transform``."""
        if not len(images):
            return
        grid = torch.bmm(self._centres.expand(len(images), -1, -1), matrices)
        inside = torch.linalg.vector_norm(grid, torch.inf, dim=2) <= 1
        size = self._size
        seen = F.grid_sample(
            images, grid.view(-1, size, size, 2), self._interpolation, "border", align_corners=False
        )
        torch.where(inside.view(-1, 1, size, size), seen.add_(1 / 512), self._fill, out=images)


@cache
def _every_stretch(device: torch.device) -> Tensor:
    """All stretches of a range to 0 to 255: (256 x low + high, value), 64 MiB. To compute one takes nine launches."""
    levels = torch.arange(_GREYS, dtype=torch.float32, device=device)
    lows = [torch.full((_GREYS, 1), float(low), device=device) for low in range(_GREYS)]
    return torch.cat([colour.stretch(levels, low, levels[:, None]) for low in lows])


def _towards(base: Tensor, images: Tensor, factor: Tensor) -> None:
    """``base + factor (images - base)``, in place of the images."""
    torch.lerp(base.expand_as(images), images, factor, out=images)
