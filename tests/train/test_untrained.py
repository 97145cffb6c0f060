"""What learns nothing is scored and ends: no epoch, no checkpoint, one result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from favit.components import declared
from favit.data import seattle_weather
from favit.train.distributed import World, wrap
from favit.train.life.process import main
from tests.train.runs import envelope

ROOT = Path("data")


@pytest.mark.parametrize(("model", "period"), [("repeat_last", 1), ("seasonal_naive", 7)])
def test_it_is_scored_as_it_is(model: str, period: int, tmp_path: Path) -> None:
    changes = {"model": model, "aggregator": "none", "encoding": "none"}
    asked = envelope("forecasting", **changes)
    asked["run"] = {k: v for k, v in asked["run"].items() if not k.startswith("model.")}
    asked["fingerprint"]["settings"] = envelope_digest(asked["run"])
    (tmp_path / "run.json").write_text(json.dumps(asked))
    arguments = ["--run", str(tmp_path / "run.json"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--keep", "all"]) == 0
    result = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (result["status"], result["epochs_run"], result["best"]) == ("finished", 0, {})
    assert not (tmp_path / "out" / "history.csv").exists()
    run = asked["run"]
    series = seattle_weather.load(ROOT, run)
    values = series.standardise().double().numpy()
    errors = []
    for start in series.window_starts("test", run["input_length"], run["horizon"]):
        first = start + run["input_length"]
        for h in range(run["horizon"]):
            seen = values[first - period + h % period]
            errors.append(np.mean((seen - values[first + h]) ** 2))
    assert result["metrics"]["mse"] == pytest.approx(np.mean(errors), rel=1e-5)


def envelope_digest(run: dict[str, object]) -> str:
    from favit.identity.digests import short_digest

    return short_digest(run)


def test_several_processes_have_no_gradients_to_share() -> None:
    model = torch.nn.Identity()
    assert wrap(model, World(rank=0, size=2), torch.device("cpu")) is model


def test_an_epochs_incomplete_last_batch_may_be_left_out() -> None:
    assert declared.training("forecasting")["drop_last"].default is False
    assert declared.training("forecasting")["drop_last"].neutral is False
