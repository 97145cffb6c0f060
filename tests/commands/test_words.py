"""Runs asked for by their words in every verb, two sweeps side by side, and the runs behind a table as a tidy CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from favit.commands.main import main
from favit.results.selection import chosen, parted
from favit.sweeps.config import Config, ConfigError
from favit.sweeps.runs import runs
from tests.loading.made_up import finish, study
from tests.workflow.conftest import TINY

ONE = TINY["sweeps"]["series"]
SWEEPS = {
    "series": {**ONE, "matrix": {**ONE["matrix"], "seed": [0, 1]}},
    "warm": {
        **ONE,
        "settings": {"lr": 0.01},
        "matrix": {**ONE["matrix"], "seed": [0, 1], "aggregator.factor": [3]},
    },
}
SWEEPS["warm"]["matrix"] = {**SWEEPS["warm"]["matrix"], "aggregator": ["probsparse"]}
SWEEPS["warm"]["table"] = {}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Config:
    root = tmp_path_factory.mktemp("study")
    return study(root, leave=("probsparse.temporal.seed1",), sweeps=SWEEPS, groups={})


@pytest.fixture
def here(made: Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made.results.parent)
    return made.results.parent


def names(config: Config, *words: str) -> list[tuple[str, int, float]]:
    return [(run["aggregator"], run["seed"], run["lr"]) for run in chosen(config, words)]


def test_words_leave_the_runs_that_have_such_settings(made: Config) -> None:
    every = names(made)
    assert len(every) == 6
    assert names(made, "seed=0") == [run for run in every if run[1] == 0]
    assert names(made, "seed=1,0", "lr=1e-2") == [run for run in every if run[2] == 0.01]
    assert names(made, "warm", "seed=1") == [("probsparse", 1, 0.01)]
    assert names(made, "aggregator.factor=5") == [("probsparse", 0, 0.001), ("probsparse", 1, 0.001)]
    assert names(made, "aggregator=full", "fused=true") == [("full", 0, 0.001), ("full", 1, 0.001)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=7"], "unknown value '7' of seed here; valid: 0, 1"),
        (["learning_rate=1"], "did you mean 'lr'"),
        (["seed=0", "aggregator.factr=5"], "did you mean 'aggregator.factor'"),
        (
            ["seed=0", "aggregator=full", "aggregator.factor=3"],
            "unknown setting 'aggregator.factor' of these runs",
        ),
        (["seriess"], "did you mean 'series'"),
        (["seed="], "unknown value ''"),
    ],
)
def test_words_that_mean_no_run_are_answered(made: Config, words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        chosen(made, words)


def test_a_run_s_name_may_hold_an_equals_sign(made: Config) -> None:
    every = [run for name in made.sweeps for run in runs(made, name)]
    word = "informer.full.none.lr=0.1.seed0"
    assert parted([word], every) == ([], {"informer.full.none.lr": ["0.1.seed0"]})
    from dataclasses import replace

    named = [replace(every[0], settings={**every[0].settings, "encoding": "none"}, apart=(("lr", 0.1),))]
    assert parted([word, "seed=0"], named) == ([word], {"seed": ["0"]})


def test_verbs_take_the_same_words(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "aggregator=probsparse", "seed=1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 and all(line.startswith("missing") and "seed1" in line for line in shown)
    assert main(["sweep", "series", "aggregator=full"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(run["aggregator"], run["seed"]) for run in found] == [("full", 0), ("full", 1)]
    assert main(["accept", "aggregator=full", "seed=1", "--why", "a test"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "seattle_weather informer.full.temporal.seed1: already valid"
    ]
    assert main(["plan", "aggregator=full"]) == 0
    assert capsys.readouterr().out.startswith("series: 0 of 2 runs to train")
    assert main(["explain", "aggregator=ful"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_two_sweeps_side_by_side(here: Path, made: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "series", "warm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split() for line in lines]
    assert cells[0] == ["setting", "series", "warm"] and ["lr", "0.001", "0.01"] in cells
    mse = [
        json.loads(p.read_text())
        for p in sorted((here / "results").rglob("metrics.json"))
        if "full" in p.parts
    ]
    mean = sum(one["metrics"]["mse"] for one in mse) / 2
    full = next(row for row in cells if row[:1] == ["full"])
    assert full[1] == f"{mean:.3f}" and full[-2:] == ["–", "–"] and full[4] == "(2)"
    [sparse] = [row for row in cells[: cells.index([], cells.index([]) + 1)] if row[:1] == ["probsparse"]]
    assert float(sparse[-1].replace("−", "-")) == pytest.approx(float(sparse[3]) - float(sparse[1]), abs=2e-3)
    assert main(["diff", "series"]) == 1
    assert "name two different sweeps; these are 1: series" in capsys.readouterr().err
    assert main(["diff", "series", "warm", "lr=0.01"]) == 1
    assert "that have such runs; these are 1: warm" in capsys.readouterr().err


def test_the_runs_of_a_table_are_there_one_by_one(here: Path, made: Config) -> None:
    assert main(["tabulate", "series"]) == 0
    with (here / "results" / "tables" / "series.runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 and [row["metric"] for row in rows] == ["mse", "mae"] * 4
    for row in rows:
        if row["state"] == "valid":
            result = json.loads((Path(row["folder"]) / "metrics.json").read_text())
            assert float(row["value"]) == result["metrics"][row["metric"]]
            assert (row["aggregator"], row["seed"]) == (
                result["run"]["aggregator"],
                str(result["run"]["seed"]),
            )
        else:
            assert (row["state"], row["aggregator"], row["seed"], row["value"]) == (
                "missing",
                "probsparse",
                "1",
                "",
            )


@pytest.mark.slow
def test_the_runs_are_made_anew_where_one_was_finished(here: Path, made: Config) -> None:
    from favit.results import tables
    from favit.results.guard import before_training
    from favit.results.state import Results
    from favit.sweeps.runs import cells

    def is_current() -> bool:
        results = Results(made)
        states = {s.run.key: s for s in results.states(runs(made, "series"))}
        sweep = made.sweeps["series"]
        return tables.table_is_current(
            made, "series", tables.table_digest(sweep, cells(sweep), results, states)
        )

    assert main(["tabulate", "series"]) == 0
    assert is_current()
    results = Results(made)
    [missing] = [s for s in results.states(runs(made, "series")) if not s.counts]
    before_training(made, results, [missing])
    finish(missing, 9)
    assert not is_current()
    assert main(["tabulate", "series"]) == 0
    assert is_current()
