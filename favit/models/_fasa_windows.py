"""Dilated windows of a map: which rows and columns they sample, and the samples themselves."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

WINDOW = 7  # positions a side


def windows_along(length: int, dilation: int) -> int:
    """Number of windows that cover ``length`` rows: each spans 6 d + 1, the last is filled up by padding."""
    return -(-length // _span(dilation))


def sampled(length: int, dilation: int) -> Tensor:
    """For each of 7 positions of each window along an axis, the index that it samples: (windows x 7,) int64.

    Beyond the map's end the axis is reflected, as often as it takes; an axis of one entry repeats.
    """
    steps = torch.arange(WINDOW * windows_along(length, dilation))
    padded = steps // WINDOW * _span(dilation) + steps % WINDOW * dilation
    period = max(1, 2 * (length - 1))
    folded = padded % period
    return torch.minimum(folded, period - folded) if length > 1 else torch.zeros_like(folded)


class Windows(nn.Module):
    """Samples a map with kernel 7, dilation d and stride 6 d + 1, so that windows tile it without overlap.

    The indices for the size named at construction are kept as buffers; those of another size are made when it
    comes.
    """

    def __init__(self, size: tuple[int, int], dilation: int) -> None:
        super().__init__()
        self.size, self.dilation = size, dilation
        self.register_buffer("rows", sampled(size[0], dilation), persistent=False)
        self.register_buffer("columns", sampled(size[1], dilation), persistent=False)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of windows on a map of ``size`` (H, W)."""
        return windows_along(size[0], self.dilation), windows_along(size[1], self.dilation)

    rows: Tensor
    columns: Tensor

    def forward(self, map_bhwc: Tensor, heads: int) -> Tensor:
        """Map (B, H, W, heads x c) to samples (B, heads, 49, windows, c), row-major in both windows and positions."""
        size = (map_bhwc.shape[1], map_bhwc.shape[2])
        samples = map_bhwc if self._is_tiled(size) else self._gathered(map_bhwc, size)
        samples_bwphc = rearrange(
            samples, "b (row y) (col x) (h c) -> b (row col) (y x) h c", y=WINDOW, x=WINDOW, h=heads
        )
        # In memory windows stay outside positions, for whoever reduces over them.
        return samples_bwphc.permute(0, 3, 2, 1, 4)

    def _is_tiled(self, size: tuple[int, int]) -> bool:
        return self.dilation == 1 and size[0] % WINDOW == 0 and size[1] % WINDOW == 0

    def _gathered(self, map_bhwc: Tensor, size: tuple[int, int]) -> Tensor:
        if size == self.size:
            rows, columns = self.rows, self.columns
        else:
            rows = sampled(size[0], self.dilation).to(map_bhwc.device)
            columns = sampled(size[1], self.dilation).to(map_bhwc.device)
        return map_bhwc.index_select(1, rows).index_select(2, columns)


def _span(dilation: int) -> int:
    return (WINDOW - 1) * dilation + 1
