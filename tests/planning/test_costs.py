"""Costs from finished runs of equal speed, or measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from favit.data._missing import DataMissing
from favit.planning import costs, probe
from favit.planning.pace import Pace, known_pace
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
    spent = costs.hours(run_of(epochs=300), 8, Pace(500, ""), 1_281_167)
    assert spent == pytest.approx(300 * 1_281_167 / 500 / 8 / 3600)


def test_a_finished_run_of_equal_speed_gives_its_pace() -> None:
    """32 examples in 4 device seconds; a longer one with another seed is as fast an example."""
    pace = known_pace(run_of(epochs=50, seed=3, lr=0.5), [result(run_of(), 4)])
    assert pace is not None and pace.examples_per_second == 8 and pace.source == "finished run on X"


@pytest.mark.parametrize(
    "other", [{"image_size": 64}, {"precision": "bfloat16"}, {"aggregator": "probsparse"}, {"batch_size": 2}]
)
def test_runs_of_other_speed_do_not(other: dict[str, Any]) -> None:
    assert known_pace(run_of(), [result(run_of(**other), 4)]) is None


def test_diverged_runs_do_not_and_the_latest_counts() -> None:
    known = [
        result(run_of(), 4, "2026-01-02"),
        result(run_of(), 8),
        result(run_of(), 1, "2026-02-01", status="diverged"),
    ]
    pace = known_pace(run_of(), known)
    assert pace is not None and pace.examples_per_second == 8


def test_examples_are_declared_counted_before_or_counted_now(tmp_path: Path) -> None:
    imagenet = run_of(dataset="imagenet1k", limit_train=0, limit_test=0)
    assert costs.examples(imagenet, [], tmp_path) == (1_281_167, 50_000)
    some = run_of(dataset="imagenet1k", limit_train=100, limit_test=10)
    assert costs.examples(some, [], tmp_path) == (100, 10)
    assert sum(costs.examples(run_of(limit_train=0, limit_test=0), [], tmp_path)) == 1797
    assert costs.examples(run_of(), [result(run_of(), 4, test_examples=7)], tmp_path) == (32, 7)
    with pytest.raises(DataMissing, match="snakemake data"):
        costs.examples(run_of(dataset="cifar100"), [], tmp_path)


def test_series_are_measured_too(tmp_path: Path) -> None:
    (run,) = [r for r in runs(parse(TINY), "series") if r["aggregator"] == "full"]
    facts = probe.data_facts(run.settings, tmp_path)
    model = probe.build_model(run.settings, facts)
    assert probe.measure(model, run.settings, facts, "cpu", 1, 4, steps=1).examples_per_second > 0
    own = Run({**run.settings, "dataset": "csv", "dataset.path": "own.csv"})
    dates = [f"2026-01-{day:02d},{day},{day % 3}" for day in range(1, 31)]
    (tmp_path / "own.csv").write_text("\n".join(["date,a,b", *dates, ""]))
    own = Run({**own.settings, "dataset.train": 0.4, "dataset.validation": 0.3, "input_length": 4})
    assert probe.data_facts(own.settings, tmp_path)["variables"] == 2
    # Rows 1-12 and 13-21, the latter looking back by the input
    assert costs.examples(own, [], tmp_path) == (12 - 4 - 2 + 1, 9 - 2 + 1)


def test_a_row_s_model_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, original = [], probe.build.model

    def counted(*arguments: Any) -> Any:
        built.append(original(*arguments))
        return built[-1]

    monkeypatch.setattr(probe.build, "model", counted)
    cost = costs.cost_of_run(run_of(), costs.Layout(1, 0, 1), "cpu", tmp_path, [])
    assert len(built) == 1 and cost.parameters == probe.parameters(built[0])
    assert cost.pace.measured_on_cpu and "measured here on a CPU" in cost.pace.source
