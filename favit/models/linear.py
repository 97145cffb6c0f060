"""Linear: one linear map over time, the same for every variable.

Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", arXiv 2205.13504, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

VARIANTS = ("linear",)
TASK = "forecasting"
AGGREGATORS = "none"


class Linear(nn.Module):
    """Each step of the forecast is a weighted sum of the input's steps of the same variable."""

    def __init__(self, input_length: int, horizon: int) -> None:
        super().__init__()
        self.over_time = nn.Linear(input_length, horizon)

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """``(B, input, V)``, and three that are not looked at, to the forecast ``(B, horizon, V)``."""
        return self.over_time(x_enc.transpose(1, 2)).transpose(1, 2)


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> Linear:
    """The forecaster of a flat run, from ``input_length`` and ``horizon`` in steps of the series."""
    return Linear(run["input_length"], run["horizon"])
