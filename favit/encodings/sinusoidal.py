"""Sinusoids of geometric wavelengths (Vaswani et al. 2017, "Attention Is All You Need", section 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from favit.encodings._fixed import FixedEncoding

IMAGES = True
SERIES = True
TIME = True
ADDS_POSITION = True

BASE = 10_000.0


class Encoding(FixedEncoding):
    """``PE(pos, 2i) = sin(pos / 10000^(2i/dim))``, ``PE(pos, 2i+1)`` the cosine of the same angle."""

    def axis(self, length: int, dim: int) -> Tensor:
        """Table of one axis: float64 ``(length, dim)``."""
        position = torch.arange(length, dtype=torch.float64)
        frequency = BASE ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angle = position[:, None] * frequency  # (length, ceil(dim / 2))
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)[:, :dim]
