"""Repeat the last step: the simplest baseline of forecasting.

"Repeat" in Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", arXiv 2205.13504, section 4.1.
It has nothing to learn and depends on no seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

VARIANTS = ("repeat_last",)
TASK = "forecasting"
AGGREGATORS = "none"
TRAINED = False


class RepeatLast(nn.Module):
    """Every step of the forecast is the last step of the input."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """``(B, input, V)``, and three that are not looked at, to the forecast ``(B, horizon, V)``."""
        return x_enc[:, -1:].expand(-1, self.horizon, -1)


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> RepeatLast:
    """The forecaster of a flat run; of its settings ``horizon`` (steps) counts."""
    return RepeatLast(run["horizon"])
