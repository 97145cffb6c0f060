"""Mean over windows: what pooling across windows means, unlike ``published``, which also mixes channels."""

from __future__ import annotations

from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap


class Aggregator(nn.Module):
    """At each of the 49 positions and in each channel, the mean over the windows."""

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        return samples.mean(dim=3)
