"""What the command says of a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from favit.commands.main import run as favit
from favit.planning import costs, probe, render
from favit.planning.pace import Pace
from favit.sweeps.runs import resolve
from favit.train.settings import Optimisation
from tests.contracts.conftest import Write
from tests.contracts.conftest import write as write  # the fixture
from tests.workflow.conftest import TINY

BARE = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}


def said_of(sweep: str, folder: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> str:
    config = {**TINY, "results": str(folder / "results"), "data": str(folder), **changes}
    (folder / "config.yaml").write_text(json.dumps(config))
    assert favit("plan", ["--config", str(folder / "config.yaml"), sweep]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_sweep_without_results_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_of("both", tmp_path, capsys)
    assert "images: 2 of 2 runs to train, each on 1 CPU process\n" in said
    assert "  1 x digits favit_b0, max_pool: " in said and "measured here on a CPU" in said
    assert said.count(" of memory per device (measured here") == 4
    assert "  1 x seattle_weather informer, full: " in said and "data: seattle_weather, " in said
    assert said.count("results: ") == said.count("2 runs: ") == 2


def test_storage_is_of_weights_checkpoints_and_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of models of a million parameters: four bytes each, and eight times that in two checkpoints with moments."""
    cost = costs.Cost(1.0, Pace(9, "measured here on a CPU", measured_on_cpu=True), 10**6)
    monkeypatch.setattr(costs, "cost_of_run", lambda *_: cost)
    images = dict(TINY["sweeps"]["images"], resources={"gpus": 4, "nodes": 2})
    images["matrix"] = {**images["matrix"], "dataset": ["imagenet1k"], "seed": [0, 1]}
    said = said_of("images", tmp_path, capsys, sweeps={"images": images}, groups={}, keep="weights")
    assert "4 of 4 runs to train, each on 8 GPUs of 2 nodes" in said
    assert "2 x imagenet1k favit_b0, max_pool: 1.0 h each, 9 examples/s per device" in said
    assert "4 runs: 4.0 h one after another, 32.0 device hours" in said
    assert "results: 16.0 MB (keep: weights)" in said
    assert "up to 32.0 MB per run during training, 128.0 MB if all run at once" in said
    assert "data: imagenet1k, about 154.6 GB once packed" in said and "not prepared yet" in said
    assert "will have GPUs, but a CPU was measured" in said


def test_data_that_are_not_here_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = dict(TINY["sweeps"]["images"])
    images["matrix"] = {**images["matrix"], "dataset": ["cifar100"]}
    said = said_of("images", tmp_path, capsys, sweeps={"images": images}, groups={})
    assert said.count("unknown, data file") == 2 and "data: cifar100, not downloaded yet" in said


def test_a_model_of_one_s_own_that_fails_is_a_row_without_a_cost(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("models/mine", "import no_such_package\n\nVARIANTS = ('mine',)\nTASK = 'classification'\n")
    images = dict(TINY["sweeps"]["images"])
    images["matrix"] = {**images["matrix"], "model": ["mine"], "aggregator": ["max_pool"]}
    lab = [str(tmp_path / "my_lab")]
    said = said_of("images", tmp_path, capsys, sweeps={"images": images}, groups={}, components=lab)
    assert "unknown, ModuleNotFoundError: No module named 'no_such_package'" in said


def test_a_sweep_that_results_decide_is_told_with_what_may_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row's rate, of two, is chosen by one seed; its own three seeds follow."""
    cost = costs.Cost(1.0, Pace(9, "measured here, on a CPU", measured_on_cpu=True), 10**6)
    monkeypatch.setattr(costs, "cost_of_run", lambda *_: cost)
    images = dict(TINY["sweeps"]["images"], tune={"grid": {"lr": [0.1, 0.2]}, "seeds": [100], "refit": True})
    images["settings"] = {**images.get("settings", {}), "validation_split": 0.5}
    images["matrix"] = {**images["matrix"], "aggregator": ["max_pool", "linear"], "seed": [0, 1, 2]}
    said = said_of("images", tmp_path, capsys, sweeps={"images": images}, groups={})
    assert "4 of 4 runs to train" in said
    assert "up to 6 more runs may follow, depending on the results of these" in said
    assert "1 x digits favit_b0, max_pool, to choose lr 0.1: 1.0 h each" in said
    assert said.count("to choose lr 0.2") == 2


def test_an_unknown_sweep_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps(TINY))
    assert favit("plan", ["--config", str(tmp_path / "config.yaml"), "imagess"]) == 1
    assert "images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hours", "said"),
    [(0.01, "36 s"), (0.04, "2.4 min"), (1, "1.0 h"), (47.9, "47.9 h"), (48, "2.0 d"), (24_000, "1,000.0 d")],
)
def test_times_have_the_unit_that_suits_them(hours: float, said: str) -> None:
    assert render.time(hours) == said


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0.0 kB"), (2_500, "2.5 kB"), (3e6, "3.0 MB"), (1.5e12, "1,500.0 GB")]
)
def test_sizes_have_the_unit_that_suits_them(size: float, said: str) -> None:
    assert render.size(size) == said


def test_memory_is_what_is_kept_for_the_backward_pass() -> None:
    """Of a layer its input, of a ReLU its output, and no weights."""
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    x = torch.randn(8, 10)
    kept = probe.kept_bytes(model, lambda: model(x).sum())
    assert kept == 4 * (8 * 10 + 8 * 20)
    stepper = torch.optim.Adam(model.parameters())
    model(x).sum().backward()
    stepper.step()
    weights = 10 * 20 + 20 + 20 * 5 + 5
    steps = 4  # one counter a parameter, four bytes each
    assert probe.fixed_bytes(model, stepper, Optimisation(ema=0.9)) == 4 * (weights * 5 + steps)
    assert probe.fixed_bytes(model, stepper, Optimisation()) == 4 * (weights * 4 + steps)


@pytest.mark.slow
def test_memory_falls_with_what_goes_through_at_a_time() -> None:
    run = resolve({**BARE, "batch_size": 64, "image_size": 32}).settings
    facts = probe.data_facts(run, Path("data"))

    def bytes_of(**changes: Any) -> int:
        changed = {**run, **changes}
        return probe.measure(
            probe.build_model(changed, facts), changed, facts, "cpu", 1, 64, steps=1
        ).memory_bytes

    whole = bytes_of()
    assert bytes_of(micro_batch_size=16) < whole
    assert bytes_of(activation_checkpointing=True) < whole
