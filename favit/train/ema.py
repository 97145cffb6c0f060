"""An exponential moving average of the weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """A copy of a model whose weights follow it: ``average += (1 - decay) (weight - average)`` each step.

    Buffers are copied. ``model`` is the averaged one, to be scored.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"ema must lie between 0 and 1, not {decay}")
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._decay = decay
        self._pairs = _tensors(self.model.parameters(), model.parameters())
        self._copies = _tensors(self.model.buffers(), model.buffers())

    @torch.no_grad()
    def update(self) -> None:
        """Follow the model by one step."""
        torch._foreach_lerp_(*self._pairs, 1 - self._decay)
        if self._copies[0]:
            torch._foreach_copy_(*self._copies)


def _tensors(ours: object, theirs: object) -> tuple[list[Tensor], list[Tensor]]:
    return list(ours), list(theirs)  # type: ignore[call-overload]
