"""Costs from finished runs of equal speed, or measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from favit.commands import plan
from favit.data._missing import DataMissing
from favit.sweeps.config import parse
from favit.sweeps.runs import Run, runs
from tests.workflow.conftest import TINY


def run_of(**changes: Any) -> Run:
    (found,) = [r for r in runs(parse(TINY), "images") if r["aggregator"] == "max_pool"]
    return Run({**found.settings, **changes})


def result(run: Run, seconds: float, finished: str = "2026-01-01", **changes: Any) -> dict[str, Any]:
    """Metrics of a run on two devices."""
    facts = {"status": "finished", "epochs_run": run["epochs"], "train_examples": 32, "finished": finished}
    return {
        "run": dict(run.settings),
        "device_seconds": seconds,
        "hardware": {"gpus": ["X"] * 2},
        **facts,
        **changes,
    }


def test_time_is_examples_by_pace_and_devices() -> None:
    spent = plan.hours(run_of(epochs=300), 8, plan.Pace(500, ""), 1_281_167)
    assert spent == pytest.approx(300 * 1_281_167 / 500 / 8 / 3600)


def test_a_finished_run_of_equal_speed_gives_its_pace() -> None:
    """32 examples in 4 device seconds; a longer one with another seed is as fast an example."""
    pace = plan.pace_of(run_of(epochs=50, seed=3, lr=0.5), [result(run_of(), 4)])
    assert pace is not None and pace.examples_per_second == 8 and pace.source == "finished run on X"


@pytest.mark.parametrize(
    "other", [{"image_size": 64}, {"precision": "bfloat16"}, {"aggregator": "probsparse"}, {"batch_size": 2}]
)
def test_runs_of_other_speed_do_not(other: dict[str, Any]) -> None:
    assert plan.pace_of(run_of(), [result(run_of(**other), 4)]) is None


def test_diverged_runs_do_not_and_the_latest_counts() -> None:
    known = [
        result(run_of(), 4, "2026-01-02"),
        result(run_of(), 8),
        result(run_of(), 1, "2026-02-01", status="diverged"),
    ]
    pace = plan.pace_of(run_of(), known)
    assert pace is not None and pace.examples_per_second == 8


def test_examples_are_declared_counted_before_or_counted_now(tmp_path: Path) -> None:
    imagenet = run_of(dataset="imagenet1k", limit_train=0, limit_test=0)
    assert plan.examples_of(imagenet, [], tmp_path) == (1_281_167, 50_000)
    some = run_of(dataset="imagenet1k", limit_train=100, limit_test=10)
    assert plan.examples_of(some, [], tmp_path) == (100, 10)
    assert sum(plan.examples_of(run_of(limit_train=0, limit_test=0), [], tmp_path)) == 1797
    assert plan.examples_of(run_of(), [result(run_of(), 4, test_examples=7)], tmp_path) == (32, 7)
    with pytest.raises(DataMissing, match="snakemake data"):
        plan.examples_of(run_of(dataset="cifar100"), [], tmp_path)


def said_of(sweep: str, folder: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> str:
    config = {**TINY, "results": str(folder / "results"), "data": str(folder), **changes}
    (folder / "config.yaml").write_text(json.dumps(config))
    assert plan.main(["--config", str(folder / "config.yaml"), sweep]) == 0
    return capsys.readouterr().out


def test_a_sweep_without_results_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_of("both", tmp_path, capsys)
    assert "images: 2 of 2 runs to train, each on 1 CPU process\n" in said
    assert "  1 x digits favit_b0, max_pool: " in said and "measured here, on a CPU" in said
    assert "  1 x seattle_weather informer, full: " in said and "data: seattle_weather, " in said
    assert said.count("results: ") == said.count("2 runs: ") == 2


def test_storage_is_of_weights_checkpoints_and_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of models of a million parameters: four bytes each, and eight times that in two checkpoints with moments."""
    cost = plan.Cost(1.0, plan.Pace(9, "measured here, on a CPU"), 10**6)
    monkeypatch.setattr(plan, "_cost", lambda *_: cost)
    images = dict(TINY["sweeps"]["images"], resources={"gpus": 4, "nodes": 2})
    images["matrix"] = {**images["matrix"], "dataset": ["imagenet1k"], "seed": [0, 1]}
    said = said_of("images", tmp_path, capsys, sweeps={"images": images}, groups={}, keep="weights")
    assert "4 of 4 runs to train, each on 8 GPUs of 2 nodes" in said
    assert "2 x imagenet1k favit_b0, max_pool: 1.0 h each, 9 examples/s a device" in said
    assert "4 runs: 4.0 h one after the other, 32.0 device hours" in said
    assert "results: 16.0 MB (keep: weights)" in said
    assert "up to 32.0 MB a run while it trains, 128.0 MB if all do at once" in said
    assert "data: imagenet1k, about 154.6 GB packed" in said and "not prepared here yet" in said
    assert "will have GPUs and this was a CPU" in said


def test_data_that_are_not_here_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = dict(TINY["sweeps"]["images"])
    images["matrix"] = {**images["matrix"], "dataset": ["cifar100"]}
    said = said_of("images", tmp_path, capsys, sweeps={"images": images}, groups={})
    assert said.count("unknown, data file") == 2 and "data: cifar100, not here yet" in said


def test_series_are_measured_too(tmp_path: Path) -> None:
    from favit.planning import probe

    (run,) = [r for r in runs(parse(TINY), "series") if r["aggregator"] == "full"]
    facts = probe.facts_of(run.settings, tmp_path)
    assert probe.measure(run.settings, facts, "cpu", 1, 4, steps=1).examples_per_second > 0
    own = Run({**run.settings, "dataset": "csv", "dataset.path": "own.csv"})
    dates = [f"2026-01-{day:02d},{day},{day % 3}" for day in range(1, 31)]
    (tmp_path / "own.csv").write_text("\n".join(["date,a,b", *dates, ""]))
    own = Run({**own.settings, "dataset.train": 0.4, "dataset.validation": 0.3, "input_length": 4})
    assert probe.facts_of(own.settings, tmp_path)["variables"] == 2
    # Rows 1-12 and 13-21, the latter looking back by the input
    assert plan.examples_of(own, [], tmp_path) == (12 - 4 - 2 + 1, 9 - 2 + 1)


def test_an_unknown_sweep_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps(TINY))
    assert plan.main(["--config", str(tmp_path / "config.yaml"), "imagess"]) == 1
    assert "images" in capsys.readouterr().err
