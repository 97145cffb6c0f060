"""Shared by encodings that add nothing by position."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from favit.encodings._fixed import check_lengths


class NoPosition(nn.Module):
    """Zeros for every position: adding it changes nothing, and models skip it (``ADDS_POSITION = False``)."""

    like: Tensor

    def __init__(self, dim: int, length: int | None = None, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("like", torch.zeros(()), persistent=False)  # carries device and dtype

    def forward(self, *lengths: int) -> Tensor:
        """``encoding(length) -> (length, dim)``; ``encoding(rows, cols) -> (rows * cols, dim)``: zeros."""
        check_lengths(lengths)
        positions = 1
        for n in lengths:
            positions *= n
        return self.like.new_zeros(positions, self.dim)
