"""Legendre polynomials (PoPE: Aggarwal 2024, "PoPE: Legendre Orthogonal Polynomials Based Position Encoding
for Large Language Models", Eq. 14)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from favit.components.checks import checked
from favit.encodings._fixed import FixedEncoding

IMAGES = True
SERIES = True
TIME = True
ADDS_POSITION = True


def legendre(orders: int, x: Tensor) -> Tensor:
    """``P_0 .. P_{orders-1}`` at the points ``x`` (n,) in float64: ``(orders, n)``.

    Bonnet's three-term recurrence ``(k+1) P_{k+1} = (2k+1) x P_k - k P_{k-1}``, stable on [-1, 1].
    """
    x = x.double()
    p = [torch.ones_like(x), x]
    for k in range(1, orders - 1):
        p.append(((2 * k + 1) * x * p[k] - k * p[k - 1]) / (k + 1))
    return torch.stack(p[:orders])


class Encoding(FixedEncoding):
    """Legendre position encoding.

    ``order_along``: what the order n of the polynomial P_n is.

    ``order_along="position"`` is PoPE's Eq. 14: ``PE(pos, i) = P_pos(x_i)`` with
    ``x_i = -1 + 2 i / dim`` and pos from 0. The order is the position, so a
    position's encoding does not depend on the length.

    ``order_along="channel"``: ``PE(pos, i) = P_i(x_pos)``, positions mapped
    evenly to [-1, 1], the ends included; here it does depend on the length.

    ``normalise``: each P_n times sqrt(2n + 1), whose mean square over [-1, 1] is 1. PoPE has it off: the root
    mean square then falls as 1 / sqrt(2n + 1) from 1 at order 0, so that order and scale are confounded.
    """

    @checked
    def __init__(
        self,
        dim: int,
        length: int | None = None,
        grid: tuple[int, int] | None = None,
        *,
        order_along: Literal["position", "channel"] = "position",
        normalise: bool = False,
    ) -> None:
        self.order_along, self.normalise = order_along, normalise
        super().__init__(dim, length=length, grid=grid)

    def axis(self, length: int, dim: int) -> Tensor:
        """Table of one axis: float64 ``(length, dim)``."""
        if self.order_along == "position":
            return self._scaled(legendre(length, -1 + 2 * torch.arange(dim, dtype=torch.float64) / dim))
        return self._scaled(legendre(dim, torch.linspace(-1, 1, length, dtype=torch.float64))).T

    def _scaled(self, p_nx: Tensor) -> Tensor:
        """P_0, P_1, ... (orders, points), each of mean square 1 where that is asked for."""
        if not self.normalise:
            return p_nx
        return p_nx * (2 * torch.arange(len(p_nx), dtype=torch.float64) + 1).sqrt()[:, None]
