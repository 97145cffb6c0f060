"""The 49 samples of all windows whose keys have the largest norm: a selection without queries.

The control for ``probsparse``: what this reaches as well is owed to choosing large keys, not to what queries ask for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap
from favit.aggregators._selection import POSITIONS, by_window, full, gathered, top, without_autocast


class Aggregator(nn.Module):
    """Selects, per image and head, the 49 samples of largest Euclidean norm of the key, laid out as in ``probsparse``.

    The selection has no gradient; the gathered samples have. With one window it is the identity. Of equal norms the
    lower index by row, then column of the map wins.
    """

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        if samples.shape[3] == 1:
            return samples.squeeze(3)
        samples_blhc = by_window(samples)
        with torch.no_grad(), without_autocast(samples.device):
            chosen_bht = self.select(full(samples_blhc), key_map, grid)
        return gathered(samples_blhc, chosen_bht, grid)

    def elementwise_macs(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> int:
        """Multiply-accumulates of ``forward`` that are written as elementwise products or a matrix times a vector."""
        batch, heads, _, windows, channels = samples.shape
        return 0 if windows == 1 else batch * heads * windows * POSITIONS * channels + channels**2

    def select(self, samples_blhc: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """The 49 chosen samples (B, heads, 49), ascending, counted by row then column of the padded map.

        ``samples_blhc`` (B, windows x 49, heads, channels) counts windows, then positions within a window.
        """
        weight, bias = (full(x) for x in key_map())
        norms_blh = (samples_blhc @ weight.T + bias).square().sum(dim=3)
        return top(norms_blh.transpose(1, 2), grid)
