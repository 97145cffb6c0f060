"""Forecasters without attention: against the published code's numbers, and against slow and obvious references."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from favit.components import registry
from favit.components.literals import trained
from favit.models import seasonal_naive
from favit.models.dlinear import DLinear
from favit.models.seasonal_naive import SeasonalNaive

PUBLISHED = json.loads(Path(__file__).with_name("ltsf_linear.json").read_text())
FORECASTERS = ["repeat_last", "seasonal_naive", "linear", "nlinear", "dlinear"]

# Ours -> theirs.
NAMES = {
    "linear": ("Linear", {"over_time": "Linear"}),
    "nlinear": ("NLinear", {"over_time": "Linear"}),
    "dlinear": ("DLinear", {"of_rest": "Linear_Seasonal", "of_trend": "Linear_Trend"}),
}


def built(name: str, input_length: int, horizon: int, **settings: Any) -> nn.Module:
    run = {"dataset": "etth1", "input_length": input_length, "horizon": horizon, **settings}
    model: nn.Module = registry.load("models", name).build(run, {"variables": 3, "time_features": 4})
    return model.eval()


def forecast(model: nn.Module, x_blv: Tensor) -> Tensor:
    """What a model makes of an input; what else it is given would show in the numbers if it were looked at."""
    nothing = torch.full((len(x_blv), 1, 1), math.nan)
    with torch.no_grad():
        made: Tensor = model(x_blv, nothing, nothing, nothing)
    return made


def wave(*shape: int, k: float, p: float) -> Tensor:
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * k + p).reshape(*shape).float()


@pytest.mark.parametrize("name", list(NAMES))
def test_outputs_are_those_of_the_published_code_from_the_same_weights(name: str) -> None:
    length, horizon = PUBLISHED["input"], PUBLISHED["horizon"]
    batch, variables = PUBLISHED["batch"], PUBLISHED["variables"]
    theirs, names = NAMES[name]
    model = built(name, length, horizon)
    for own, tensor in model.state_dict().items():
        module, _, kind = own.rpartition(".")
        phase = zlib.crc32(f"{names[module]}.{kind}".encode()) % 1000
        tensor.copy_(wave(*tensor.shape, k=0.7310585, p=phase) / math.sqrt(length))
    x = 2 * wave(batch, length, variables, k=0.37, p=0.5) + torch.arange(length)[None, :, None] / 10
    expected = torch.tensor(PUBLISHED["outputs"][theirs]).reshape(batch, horizon, variables)
    torch.testing.assert_close(forecast(model, x), expected, atol=1e-5, rtol=0)


def test_dlinear_is_the_sum_of_two_maps_of_trend_and_rest_written_out() -> None:
    torch.manual_seed(0)
    length, horizon, kernel = 9, 4, 5
    model, x = DLinear(length, horizon, kernel).double(), torch.randn(2, length, 3, dtype=torch.float64)
    around = kernel // 2
    for b in range(2):
        for v in range(3):
            series = x[b, :, v].tolist()
            padded = [series[0]] * around + series + [series[-1]] * around
            trend = torch.tensor([sum(padded[i : i + kernel]) / kernel for i in range(length)]).double()
            rest = x[b, :, v] - trend
            expected = model.of_trend.weight @ trend + model.of_rest.weight @ rest
            expected = expected + model.of_trend.bias + model.of_rest.bias
            torch.testing.assert_close(forecast(model, x)[b, :, v], expected, atol=1e-6, rtol=1e-6)


def test_an_average_over_an_even_number_of_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="odd number of steps"):
        built("dlinear", 30, 4, **{"model.kernel": 24})


def test_nlinear_moves_with_its_input() -> None:
    model, x = built("nlinear", 12, 5), torch.randn(2, 12, 3)
    torch.testing.assert_close(forecast(model, x + 7), forecast(model, x) + 7, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("horizon", [1, 6, 7, 8, 20])
def test_a_season_is_repeated_step_by_step(horizon: int) -> None:
    period, length = 7, 17
    x = torch.randn(2, length, 3)
    found = forecast(SeasonalNaive(period, horizon), x)
    for h in range(1, horizon + 1):  # the textbook's: y(T + h - m (k + 1)), k = (h - 1) // m, counted from 1
        back = length + h - period * ((h - 1) // period + 1)
        assert torch.equal(found[:, h - 1], x[:, back - 1])


def test_repeating_the_last_step_is_a_season_of_one() -> None:
    x = torch.randn(2, 12, 3)
    assert torch.equal(forecast(built("repeat_last", 12, 5), x), forecast(SeasonalNaive(1, 5), x))
    assert torch.equal(forecast(built("repeat_last", 12, 5), x), torch.stack([x[:, -1]] * 5, 1))


@pytest.mark.parametrize(("dataset", "step_hours"), [("etth1", 1), ("ettm1", 0.25)])
def test_the_season_of_electricity_is_a_day(dataset: str, step_hours: float) -> None:
    assert seasonal_naive.SEASONS[dataset] * step_hours == 24


def test_a_season_that_is_not_known_or_not_seen_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"season of csv is not known; model\.period"):
        seasonal_naive.check_settings("csv", 0, 64)
    with pytest.raises(ValueError, match="96 steps does not fit into an input_length of 64"):
        seasonal_naive.check_settings("ettm1", 0, 64)
    seasonal_naive.check_settings("csv", 12, 12)


@pytest.mark.parametrize("name", FORECASTERS)
def test_shapes_and_what_is_said_to_be_trained(name: str) -> None:
    model = built(name, 28, 5)
    assert forecast(model, torch.randn(2, 28, 3)).shape == (2, 5, 3)
    assert any(p.requires_grad for p in model.parameters()) == trained(name)
    assert not trained(name) or not model.state_dict().keys() ^ {n for n, _ in model.named_parameters()}
