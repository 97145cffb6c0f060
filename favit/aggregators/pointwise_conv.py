"""A learned 1 x 1 convolution over the 7 x 7 grid, from all windows of a head to one token a position."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap, check_windows


class Aggregator(nn.Module):
    """Conv2d(heads x windows x channels -> heads x channels, 1 x 1), one group a head, with bias.

    Built for one number of windows, so for one image size.
    """

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()
        self.windows = windows
        self.fuse = nn.Conv2d(heads * windows * channels, heads * channels, kernel_size=1, groups=heads)

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels).

        Raises ``ValueError`` for another number of windows than it was built for.
        """
        check_windows(samples, self.windows)
        maps = rearrange(samples, "b h (y x) w c -> b (h w c) y x", y=7)
        return rearrange(self.fuse(maps), "b (h c) y x -> b h (y x) c", h=samples.shape[1])
