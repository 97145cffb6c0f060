"""NLinear: a linear map over time of what the input differs in from its last step.

Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", arXiv 2205.13504, section 4: the last step
is taken off before the map and added again after it, so that a series that has moved since the training is forecast
from where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

VARIANTS = ("nlinear",)
TASK = "forecasting"
AGGREGATORS = "none"


class NLinear(nn.Module):
    """The last step, and a weighted sum of the differences to it, for each variable alike."""

    def __init__(self, input_length: int, horizon: int) -> None:
        super().__init__()
        self.over_time = nn.Linear(input_length, horizon)

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """``(B, input, V)``, and three that are not looked at, to the forecast ``(B, horizon, V)``."""
        last = x_enc[:, -1:]
        return last + self.over_time((x_enc - last).transpose(1, 2)).transpose(1, 2)


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> NLinear:
    """The forecaster of a flat run, from ``input_length`` and ``horizon`` in steps of the series."""
    return NLinear(run["input_length"], run["horizon"])
