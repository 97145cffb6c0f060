"""A linear map of every token of a map."""

from __future__ import annotations

from torch import Tensor, nn

from favit.models import _cpu


class Pointwise(nn.Linear):
    """``nn.Linear`` over maps."""

    def forward(self, x_bhwc: Tensor) -> Tensor:
        """(B, H, W, inputs) to (B, H, W, outputs)."""
        return _cpu.pointwise(x_bhwc, self.weight, self.bias)
