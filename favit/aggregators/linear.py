"""A learned linear map from all windows of a position to one token, shared by heads and positions."""

from __future__ import annotations

from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap, check_windows


class Aggregator(nn.Module):
    """Linear(windows x channels -> channels) with bias; built for one number of windows, so for one image size."""

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()
        self.windows = windows
        self.fuse = nn.Linear(windows * channels, channels)

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels).

        Raises ``ValueError`` for another number of windows than it was built for.
        """
        check_windows(samples, self.windows)
        return self.fuse(samples.flatten(3))
