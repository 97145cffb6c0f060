"""Scoring: each example exactly once, alike at any batch size and on any number of processes.

Batches all have one shape, the last filled up with repeats whose results are
dropped, so a model that treats its examples independently gives each the same
numbers wherever it stands. Scores stay apart, one row an example in the order
of the data; whoever averages them does so over the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from favit.train.distributed import World, gather
from favit.train.task import Check


@torch.no_grad()
def score(
    examples: int,
    batch_size: int,
    rows: Callable[[Any], Tensor],
    world: World,
    device: torch.device,
    check: Check,
    fetch: Callable[[Iterable[Tensor]], Iterable[Any]] = iter,
) -> Tensor:
    """Rows of all examples in order: (examples, columns) float32 on the CPU, the same on every process.

    ``fetch`` turns batches of indices (batch_size,) on ``device`` into what
    ``rows`` takes, which returns (batch_size, columns). ``check`` is called
    before each batch and may raise.
    """
    share = -(-examples // (world.size * batch_size)) * batch_size  # a whole number of batches each
    mine = torch.arange(world.rank * share, (world.rank + 1) * share, device=device).clamp(max=examples - 1)
    found = []
    for batch in fetch(mine.split(batch_size)):
        check()
        found.append(rows(batch).float())
    return gather(torch.cat(found), world).flatten(0, 1)[:examples].cpu()


def mean(values: Tensor) -> float:
    """Mean in float64, so that neither number nor order of the examples shows."""
    return values.double().mean().item()
