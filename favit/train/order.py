"""The examples of each step: the shuffled order of an epoch, divided among processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from favit.train import seeds
from favit.train.distributed import World
from favit.train.transfer import to_device


@dataclass(frozen=True)
class Batch:
    """This process's share of one step's batch.

    ``weights`` make the sum of weighted losses, averaged over the processes as
    their gradients are, the mean over the whole batch, also where the last
    batch of an epoch does not divide evenly: what fills it up weighs nothing.
    """

    step: int  # within the epoch, from 0
    indices: Tensor  # (b,) int64
    weights: Tensor  # (b,) float32


@dataclass(frozen=True)
class Order:
    """How an epoch goes through ``examples``."""

    examples: int
    batch_size: int  # over all processes
    drop_last: bool  # leave out the incomplete last batch, unless it is the only one
    seed: int
    on_cpu: bool = False  # indices stay there, for examples that are read elsewhere than on the device
    repeats: int = 1  # each example comes so many times in a row; see ``drawn``

    @property
    def drawn(self) -> int:
        """Places of an epoch, before an incomplete batch is left out.

        With ``repeats`` (repeated augmentation; Hoffer et al. 2019, arXiv 1901.09335) an epoch stays as long and
        sees the fewer examples: as in DeiT's sampler, the first whole 256s of the repeated order, if there are any.
        """
        return self.examples // 256 * 256 or self.examples if self.repeats > 1 else self.examples

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        if self.drop_last and self.drawn >= self.batch_size:
            return self.drawn // self.batch_size
        return -(-self.drawn // self.batch_size)

    @property
    def examples_an_epoch(self) -> int:
        """Examples that an epoch goes through."""
        return min(self.drawn, self.steps * self.batch_size)

    @property
    def step_weights(self) -> Tensor:
        """Each step's share of an epoch's examples: (steps,) float64, on the CPU."""
        sizes = torch.full((self.steps,), float(self.batch_size), dtype=torch.float64)
        sizes[-1] = self.examples_an_epoch - (self.steps - 1) * self.batch_size
        return sizes / sizes.sum()

    def epoch(self, epoch: int, first_step: int, world: World, device: torch.device) -> Iterator[Batch]:
        """This process's batches from ``first_step`` on; the indices cross to the device once."""
        shuffled = torch.randperm(self.examples, generator=seeds.generator(self.seed, "order", epoch))
        if self.repeats > 1:
            shuffled = shuffled.repeat_interleave(self.repeats)[: self.drawn]
        if not self.on_cpu:
            shuffled = to_device(shuffled, device)
        for step in range(first_step, self.steps):
            whole = shuffled[step * self.batch_size : (step + 1) * self.batch_size]
            indices, weights = _share(whole, world)
            yield Batch(step, indices, to_device(weights, device))


def _share(whole: Tensor, world: World) -> tuple[Tensor, Tensor]:
    share = -(-len(whole) // world.size)
    places = torch.arange(world.rank, share * world.size, world.size, device=whole.device)
    inside = places < len(whole)
    weights = inside.float() * (world.size / len(whole))
    return whole[places.clamp(max=len(whole) - 1)], weights
