"""DLinear: the input is split into a trend and the rest, each of which has a linear map over time.

Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", arXiv 2205.13504, section 4. The trend is
the moving average of Autoformer (Wu et al. 2021, arXiv 2106.13008, equation 1), with the ends repeated so that it is as
long as the input. The paper does not give the width of the average; 25 is that of its program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch.nn.functional as F
from torch import Tensor, nn

from favit.components.bounds import AtLeast
from favit.components.flat import own

VARIANTS = ("dlinear",)
TASK = "forecasting"
AGGREGATORS = "none"


@dataclass(frozen=True)
class Settings:
    """The settings of DLinear: ``model.kernel``."""

    kernel: Annotated[int, AtLeast(1)] = 25
    """Length of the moving average in steps; odd, so that it has a middle."""


def check_settings(kernel: int) -> None:
    """``ValueError`` for an even length."""
    if kernel % 2 == 0:
        raise ValueError(f"kernel is {kernel}; a moving average with a middle is over an odd number of steps")


class DLinear(nn.Module):
    """The sum of two weighted sums over time, of the trend and of what it leaves, for each variable alike."""

    def __init__(self, input_length: int, horizon: int, kernel: int = 25) -> None:
        super().__init__()
        check_settings(kernel)
        self.kernel = kernel
        self.of_rest = nn.Linear(input_length, horizon)
        self.of_trend = nn.Linear(input_length, horizon)

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """``(B, input, V)``, and three that are not looked at, to the forecast ``(B, horizon, V)``."""
        x_bvl = x_enc.transpose(1, 2)
        trend_bvl = self._trend(x_bvl)
        return (self.of_rest(x_bvl - trend_bvl) + self.of_trend(trend_bvl)).transpose(1, 2)

    def _trend(self, x_bvl: Tensor) -> Tensor:
        around = (self.kernel - 1) // 2
        return F.avg_pool1d(F.pad(x_bvl, (around, around), mode="replicate"), self.kernel, stride=1)


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> DLinear:
    """The forecaster of a flat run, from ``input_length`` and ``horizon`` in steps of the series."""
    return DLinear(run["input_length"], run["horizon"], Settings(**own(run, "model")).kernel)
