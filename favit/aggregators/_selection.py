"""Shared by aggregators that fuse windows by selecting 49 of their samples.

Samples are counted in two ways: by window, then position within it, which is how they lie in memory, and by row,
then column of the map of all samples, which is the order in which ties are broken and tokens are laid out.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from favit.aggregators._contract import Grid

POSITIONS = 49


def by_window(samples: Tensor) -> Tensor:
    """Samples (B, heads, 49, windows, c) as (B, windows x 49, heads, c): a view, which costs nothing."""
    return samples.permute(0, 3, 2, 1, 4).flatten(1, 2)


def gathered(samples_blhc: Tensor, chosen_bht: Tensor, grid: Grid) -> Tensor:
    """The tokens (B, heads, 49, c) at the chosen places, which are counted by map."""
    return at(samples_blhc, in_windows(chosen_bht, grid))


def at(samples_blhc: Tensor, places_bht: Tensor) -> Tensor:
    """The tokens (B, heads, 49, c) at these places, which are counted by window."""
    index_bth1 = places_bht.transpose(1, 2).unsqueeze(3)
    return samples_blhc.gather(1, index_bth1.expand(-1, -1, -1, samples_blhc.shape[3])).transpose(1, 2)


def top(scores_bhl: Tensor, grid: Grid) -> Tensor:
    """The places (B, heads, 49), ascending by map, of the highest scores, which are counted by window.

    Of equal scores the lower place by map wins.
    """
    order = by_map(scores_bhl, grid).sort(dim=2, descending=True, stable=True).indices
    return order[:, :, :POSITIONS].sort(dim=2).values


def by_map(scores_bhl: Tensor, grid: Grid) -> Tensor:
    """Reorder the last axis from windows, then positions to rows, then columns of the map of all samples."""
    rows, columns = grid
    scores = scores_bhl.unflatten(2, (rows, columns, 7, 7))
    return scores.transpose(3, 4).flatten(2)


def in_windows(index: Tensor, grid: Grid) -> Tensor:
    """Where samples counted by row, then column of the map stand when counted by window, then position."""
    # Looked up, for divisions and remainders of each index would be a dozen launches on a GPU
    rows, columns = grid
    by_window = torch.arange(rows * columns * POSITIONS, device=index.device)
    return by_window.view(rows, columns, 7, 7).transpose(1, 2).reshape(-1)[index]


def fill(buffer: Tensor, drawn: Tensor) -> None:
    """Copy what was drawn on the CPU into a buffer of any device, without waiting for a GPU."""
    buffer.copy_(drawn.pin_memory() if buffer.is_cuda else drawn, non_blocking=True)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast on this device while the context lasts."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def full(x: Tensor) -> Tensor:
    """At least single precision, without gradient: half precision would make ties of what is not."""
    return x.detach().to(torch.promote_types(x.dtype, torch.float32))
