"""Repeat the last season: each step is forecast as what was seen a whole number of seasons before it.

Hyndman & Athanasopoulos 2021, "Forecasting: Principles and Practice", 3rd edition, section 5.2, where the forecast of
step h is y(T + h - m (k + 1)), m the steps of a season and k = (h - 1) // m. It has nothing to learn and depends on no
seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from favit.components.bounds import AtLeast
from favit.components.flat import own

VARIANTS = ("seasonal_naive",)
TASK = "forecasting"
AGGREGATORS = "none"
TRAINED = False

# Steps of a season: a day of hours and of quarter-hours, a week of days.
SEASONS = {"etth1": 24, "ettm1": 96, "seattle_weather": 7}


@dataclass(frozen=True)
class Settings:
    """The settings of this model: ``model.period``."""

    period: Annotated[int, AtLeast(0)] = 0
    """Steps of a season; 0: a day for ETT, a week for Seattle's weather."""


def check_settings(dataset: str, period: int, input_length: int) -> None:
    """``ValueError`` if no season is known, or none is seen."""
    if not period and dataset not in SEASONS:
        raise ValueError(f"the season of {dataset} is not known; model.period says how many steps it has")
    steps = period or SEASONS[dataset]
    if steps > input_length:
        raise ValueError(
            f"a season of {steps} steps does not fit into an input_length of {input_length}; "
            "give a longer input or a shorter model.period"
        )


class SeasonalNaive(nn.Module):
    """The last ``period`` steps of the input, over and over."""

    def __init__(self, period: int, horizon: int) -> None:
        super().__init__()
        self.period, self.horizon = period, horizon

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """``(B, input, V)``, and three that are not looked at, to the forecast ``(B, horizon, V)``."""
        first = x_enc.shape[1] - self.period
        return x_enc[:, first + torch.arange(self.horizon, device=x_enc.device) % self.period]


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> SeasonalNaive:
    """The forecaster of a flat run; ``horizon`` and ``period`` are steps of the series."""
    period = Settings(**own(run, "model")).period
    check_settings(run["dataset"], period, run["input_length"])
    return SeasonalNaive(period or SEASONS[run["dataset"]], run["horizon"])
