"""Shared by encodings given by a formula: tables in float64, kept for the size known at construction."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class FixedEncoding(nn.Module, ABC):
    """Position encoding without parameters.

    A subclass gives ``axis(length, dim)``, the table of one axis. A series takes
    it as it is; an image takes one table of half the channels for its rows and
    one for its columns, concatenated.

    The table of the size named at construction (``length`` of a series or
    ``grid`` of an image) is a non-persistent buffer, so that no checkpoint
    depends on it; any other size is computed when asked for.
    """

    table: Tensor

    def __init__(self, dim: int, length: int | None = None, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.known = known_size(length, grid)
        table = self.compute(*self.known) if self.known else torch.empty(0, dim, dtype=torch.float64)
        self.register_buffer("table", table.to(torch.get_default_dtype()), persistent=False)

    @abstractmethod
    def axis(self, length: int, dim: int) -> Tensor:
        """Table of one axis: float64 ``(length, dim)``."""

    def compute(self, *lengths: int) -> Tensor:
        """Table in float64 on the CPU: ``(length, dim)`` or ``(rows * cols, dim)``."""
        if len(lengths) == 1:
            return self.axis(lengths[0], self.dim)
        rows, cols = lengths
        half = halved(self.dim)
        row_rcd = self.axis(rows, half)[:, None].expand(rows, cols, half)
        col_rcd = self.axis(cols, half)[None, :].expand(rows, cols, half)
        return torch.cat((row_rcd, col_rcd), dim=-1).reshape(rows * cols, self.dim)

    def forward(self, *lengths: int) -> Tensor:
        """``encoding(length)``: ``(length, dim)``; ``encoding(rows, cols)``: ``(rows * cols, dim)``."""
        check_lengths(lengths)
        if lengths == self.known:
            return self.table
        table = self.compute(*lengths)
        if self.table.is_cuda and not torch.compiler.is_compiling():  # the host is not to wait for the copy
            return table.to(self.table.dtype).pin_memory().to(self.table.device, non_blocking=True)
        return table.to(self.table)


def known_size(length: int | None, grid: tuple[int, int] | None) -> tuple[int, ...]:
    """The size named at construction as a tuple of lengths; empty if none is named."""
    if length is not None and grid is not None:
        raise ValueError("give length (of a series) or grid (of an image), not both")
    if length is not None:
        return (length,)
    return tuple(grid) if grid is not None else ()


def check_lengths(lengths: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless there are one (series) or two (image) positive lengths."""
    if len(lengths) not in (1, 2) or any(n < 1 for n in lengths):
        raise ValueError(f"an encoding takes one length or rows and cols, each at least 1; got {lengths}")


def halved(dim: int) -> int:
    """Channels of each of an image's two axes."""
    if dim % 2:
        raise ValueError(
            f"an image's encoding needs an even number of channels, half for each axis; got {dim}"
        )
    return dim // 2
