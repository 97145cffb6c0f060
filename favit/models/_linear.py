"""A linear layer over sequences."""

from __future__ import annotations

from torch import Tensor, nn

from favit.models import _cpu


class Linear(nn.Linear):
    """``nn.Linear`` over sequences (B, L, inputs) and whatever else."""

    def forward(self, x: Tensor) -> Tensor:
        """``(..., inputs)`` to ``(..., outputs)``."""
        return _cpu.linear(x, self.weight, self.bias)
