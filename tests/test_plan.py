"""Costs from finished runs of equal speed, or measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from favit import plan
from favit.config import parse
from favit.sweep import Run, runs
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
    spent = plan.cost(run_of(epochs=300), 8, plan.Pace(500, ""), 1_281_167)
    assert spent.hours == pytest.approx(300 * 1_281_167 / 500 / 8 / 3600)


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


def test_examples_are_declared_counted_or_unknown() -> None:
    imagenet = run_of(dataset="imagenet1k", limit_train=0)
    assert plan.examples_of(imagenet, []) == 1_281_167
    assert plan.examples_of(run_of(limit_train=0), []) is None
    assert plan.examples_of(run_of(), [result(run_of(), 4)]) == 32


def test_a_sweep_without_results_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads(json.dumps({**TINY, "results": str(tmp_path / "results"), "data": str(tmp_path)}))
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    assert plan.main(["--config", str(tmp_path / "config.yaml"), "both"]) == 0
    said = capsys.readouterr().out
    assert "images: 2 of 2 runs to train, 1 device(s) each" in said
    assert "favit_b0.max_pool.none.seed0: " in said and "measured here, on a CPU" in said
    assert said.count("number of examples unknown") == 2, "of the series"
    assert "MB of weights" in said


def test_series_are_measured_too() -> None:
    from favit.train.probe import measure

    (run,) = [r for r in runs(parse(TINY), "series") if r["aggregator"] == "full"]
    assert measure(run.settings, "cpu", 4, steps=1).examples_per_second > 0


def test_an_unknown_sweep_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps(TINY))
    assert plan.main(["--config", str(tmp_path / "config.yaml"), "imagess"]) == 1
    assert "images" in capsys.readouterr().err
