"""Maximum over windows (Qin et al. 2023, section 3.2: the aggregation that FaViT's paper describes)."""

from __future__ import annotations

from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap


class Aggregator(nn.Module):
    """At each of the 49 positions and in each channel, the largest value over the windows."""

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        return samples.amax(dim=3)
