"""A learned vector a position (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", section 3.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from favit.encodings._fixed import check_lengths, known_size

IMAGES = True
SERIES = True
TIME = True
ADDS_POSITION = True


class Encoding(nn.Module):
    """One parameter vector for each of ``length`` positions or each cell of ``grid``.

    One of the two must be named. Asked for another size it interpolates, linearly along
    a series, bicubically over an image, the table covering the same extent.
    """

    def __init__(self, dim: int, length: int | None = None, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.known = known_size(length, grid)
        if not self.known:
            raise ValueError(
                "learned: name its size, length=... for a series or grid=(rows, cols) for an image"
            )
        self.table = nn.Parameter(torch.empty(*self.known, dim))  # (length, dim) or (rows, cols, dim)
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, *lengths: int) -> Tensor:
        """``encoding(length)``: ``(length, dim)``; ``encoding(rows, cols)``: ``(rows * cols, dim)``."""
        check_lengths(lengths)
        if len(lengths) != len(self.known):
            kind = "a series" if len(self.known) == 1 else "an image"
            raise ValueError(f"learned: built for {kind} of size {self.known}, asked for {lengths}")
        table = self.table if lengths == self.known else self._resized(lengths)
        return table.flatten(0, -2)

    def _resized(self, lengths: tuple[int, ...]) -> Tensor:
        table = rearrange(self.table, "... d -> 1 d ...")
        mode = "linear" if len(lengths) == 1 else "bicubic"
        return rearrange(F.interpolate(table, lengths, mode=mode, align_corners=False), "1 d ... -> ... d")
