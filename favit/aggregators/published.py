"""The average pool of the authors' code, which mixes channels; kept to load and reproduce their weights.

The code of Qin et al. (2023) flattens windows and channels into one axis, windows outermost, and averages it
down to as many entries as there are channels. With W windows entry c is the mean of W *neighbouring* entries,
thus of neighbouring channels of one or two windows, not of channel c over all windows as in the paper
(section 3.2) and in ``avg_pool``. With one window the two agree.
"""

from __future__ import annotations

from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap


class Aggregator(nn.Module):
    """Entry c of a position is the mean of entries c W to (c+1) W - 1 of its (windows, channels), flattened."""

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        batch, heads, positions, windows, channels = samples.shape
        return samples.reshape(batch, heads, positions, channels, windows).mean(dim=4)
