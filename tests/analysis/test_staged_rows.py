"""Rows of sweeps that results decide which are not like the others: not trained, tuned at one point, not chosen yet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from favit.analysis import costs
from favit.analysis.render import to_csv
from favit.analysis.sequential import Design
from favit.analysis.spec import table_spec
from favit.analysis.statistics import Sample, compare
from favit.commands.main import run as favit
from favit.commands.plan import _detects
from favit.results import tables as made_tables
from favit.results.state import Results
from favit.sweeps.config import ConfigError, load, parse
from favit.sweeps.runs import runs
from favit.sweeps.stages import possible
from tests.analysis.test_asked import IMAGES, MATRIX, ROUNDS, SCORES, Disk, sweep_of, table_of

NAIVE = {"repeat_last": 1.004, "seasonal_naive": 3.0}


def with_naive(**body: Any) -> Disk:
    return Disk(sweep_of({**MATRIX, **ROUNDS}, beside=list(NAIVE), **body))


def finish(disk: Disk) -> None:
    for run in disk.what.runs:
        model = run["model"]
        disk.score(run, NAIVE[model] if model in NAIVE else SCORES[run["aggregator"]][run["seed"]])


def test_what_is_not_trained_is_one_run_compared_until_it_is_decided() -> None:
    disk = with_naive()
    first = disk.asked()
    assert [run["seed"] for run in first.runs if run["model"] in NAIVE] == [0, 0]
    assert [len(one) for follow in first.follow for one in follow] == [3, 3, 3, 0, 0]
    finish(disk)
    now = disk.asked()
    said = {row: (look.seeds, look.said) for (_, row), look in now.looks.items()}
    assert said["repeat_last"] == (6, "undecided") and said["seasonal_naive"] == (3, "different")
    lines = {line.row.id: line for line in table_of(disk).lines}
    assert lines["repeat_last"].notes == ("undecided after the baseline's first 6 seeds, the maximum",)
    (stopped,) = lines["seasonal_naive"].notes
    assert stopped == "stopped after the baseline's first 3 seeds of up to 6: MSE differs from theirs"
    # One sample of three against a value that is known; four rows, MSE and MAE.
    exact, seeds = Sample(np.array([3.0]), exact=True), Sample(np.array(SCORES["full"][:3]))
    by_hand = compare(exact, seeds, paired=False, confidence=1 - Design(3, 6, 8).level)
    shown = lines["seasonal_naive"].scores["mse"].difference
    assert (shown.low, shown.high) == pytest.approx((by_hand.low, by_hand.high))


def test_the_baseline_may_be_what_is_not_trained() -> None:
    disk = with_naive(table={"baseline": "repeat_last"})
    finish(disk)
    lines = {line.row.id: line for line in table_of(disk).lines}
    assert lines["delta_v"].notes == ("stopped after 3 seeds of up to 6: MSE differs from the baseline's",)
    assert lines["full"].notes == ("undecided after 6 seeds, the maximum",)
    assert lines["repeat_last"].notes == lines["seasonal_naive"].notes == ()


def test_a_row_that_waits_for_the_baseline_alone_says_so() -> None:
    disk = with_naive()
    for run in disk.what.runs:
        if run["model"] in NAIVE:
            disk.score(run, 1.0)
    lines = {line.row.id: line for line in table_of(disk).lines}
    assert lines["repeat_last"].notes == ("waits for the baseline's first 3 seeds",)


def test_a_row_that_is_decided_brings_no_more_runs_and_so_a_block_its_baseline() -> None:
    disk = Disk(sweep_of({**MATRIX, **ROUNDS}))
    for run in disk.what.runs:
        if run["seed"] < 3:
            disk.score(run, SCORES[run["aggregator"]][run["seed"]])
    assert [len(one) for follow in disk.asked().follow for one in follow] == [2, 2, 0], "delta_v is decided"
    for run in disk.what.runs:
        disk.score(run, SCORES[run["aggregator"]][run["seed"]])
    assert [len(one) for follow in disk.asked().follow for one in follow] == [0, 0, 0]


def test_the_csv_names_what_p_is_corrected_for() -> None:
    disk = Disk(sweep_of({**MATRIX, **ROUNDS}))
    finish(disk)
    plain = Disk(sweep_of({**MATRIX, "seed": [0, 1, 2]}))
    finish(plain)
    staged, given = (next(csv.DictReader(to_csv(table_of(d)).splitlines())) for d in (disk, plain))
    assert "MSE p of all looks" in staged and "MSE p Holm" not in staged
    assert "MSE p Holm" in given and "MSE p of all looks" not in given


SPLIT = {"validation_split": 0.2}


def test_one_point_is_no_choice_and_costs_nothing() -> None:
    tune = {"grid": {"lr": [1e-4]}, "seeds": [100], "refit": True}
    disk = Disk(sweep_of({**IMAGES, "seed": [0]}, tune=tune, settings=SPLIT))
    now = disk.asked()
    assert {(r["seed"], r["lr"], r["validation_split"]) for r in now.runs} == {(0, 1e-4, 0.0)}
    assert set(now.notes().values()) == {("lr 0.0001, the only point of its grid",)}


def test_a_model_beside_at_a_rate_of_its_own_is_not_tuned_nor_said_to_be() -> None:
    tune = {"grid": {"lr": [1e-4, 1e-3]}, "seeds": [100]}
    disk = Disk(sweep_of({**MATRIX, "seed": [0]}, tune=tune, beside=[{"model": "dlinear", "lr": 0.005}]))
    now = disk.asked()
    assert [(r["seed"], r["lr"]) for r in now.runs if r["model"] == "dlinear"] == [(0, 0.005)]
    assert [row for _, row in now.notes()] == MATRIX["aggregator"]


def test_a_component_s_default_is_a_choice_like_others() -> None:
    tune = {"grid": {"lr": [1e-4, 1e-3], "aggregator.factor": [3, 5]}, "seeds": [100]}  # 5 by default
    disk = Disk(sweep_of({**MATRIX, "seed": [0]}, tune=tune))
    for place in disk.what.places:
        for option in place.options:
            best = {"selected_on": "validation", "mse": 1.0 - 0.1 * len(option.values), "mae": 1.0}
            best["mse"] -= 0.01 * option.values.get("aggregator.factor", 0)
            disk.finish(option.candidates[0], metrics={"mse": 1.0, "mae": 1.0}, best=best)
    notes = {row: said for (_, row), (said,) in disk.asked().notes().items()}
    assert notes["full"].startswith("lr 0.0001 chosen from 2 by validation MSE")
    assert notes["probsparse"].startswith("lr 0.0001, aggregator.factor 5 chosen from 4 by validation MSE")
    assert notes["probsparse"].endswith("at the edge of its grid in lr and aggregator.factor")


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    grid = yaml.safe_load("lr: [1e-4, 1e-3]")  # its numbers have a point
    assert grid == {"lr": ["1e-4", "1e-3"]}
    for place in sweep_of({**MATRIX, "seed": [0]}, tune={"grid": grid, "seeds": [100]}).places:
        assert [option.values for option in place.options] == [{"lr": 1e-4}, {"lr": 1e-3}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"settings": {"lr": 0.1}, "tune": {"grid": {"lr": [0.2]}, "seeds": [1]}}, "lr is in settings, too"),
        ({"tune": {"grid": {"horizon": [7, 14]}, "seeds": [1]}}, "not comparable"),
        ({"tune": {"grid": {"limit_test": [7, 14]}, "seeds": [1]}}, "not comparable"),
        ({"tune": {"grid": {"dataset.path": ["a", "b"]}, "seeds": [1]}}, "not comparable"),
        ({"table": {"equivalence_margin": float("nan")}}, "must be finite"),
        ({"table": {"equivalence_margin": 0.1}}, "table.equivalence_margin says when seeds are enough"),
    ],
)
def test_what_would_be_ignored_or_mislead_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        sweep_of({**MATRIX, "seed": [0]}, **body)


def test_the_caption_says_of_what_is_held_back_when() -> None:
    matrix = {**IMAGES, "encoding": ["none"], "seed": [0]}
    for refit, shown in ((True, "validation_split 0.2 while choosing"), (False, "validation_split 0.2")):
        tune = {"grid": {"lr": [1e-4, 1e-3]}, "seeds": [100], "refit": refit}
        body = {"matrix": matrix, "recipe": "r", "settings": SPLIT, "tune": tune}
        sweep = parse({"recipes": {"r": {"epochs": 30}}, "sweeps": {"s": body}}).sweeps["s"]
        assert table_spec(sweep, possible(sweep).cells).recipe == f"r, with {shown}"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tuned sweep, one that stops, and a plain one which shares runs with both and is finished."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(costs.Costs, "cost", lambda *_: None)
    monkeypatch.setattr(made_tables, "_code", lambda *_: [])  # which takes seconds to digest
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    matrix = {"dataset": ["csv"], "model": ["informer"], "aggregator": ["full", "probsparse"]}
    matrix.update({"encoding": ["none"], "seed": [0, 1, 2]})
    plain = {"matrix": matrix, "recipe": "r", "table": {"baseline": "full"}}
    recipe = {"dataset.path": "own.csv", "schedule": "constant", "lr": 0.001}
    tuned = {**plain, "tune": {"grid": {"lr": [0.001, 0.01]}, "seeds": [100]}}
    stops = {**plain, "matrix": {**matrix, "seed": {"min": 3, "max": 5, "stop": "decided"}}}
    sweeps = {"plain": plain, "tuned": tuned, "stops": stops}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"recipes": {"r": recipe}, "sweeps": sweeps}))
    return tmp_path


def leave(code: str = "") -> None:
    """Results of the plain sweep, of today's code or of another."""
    config = load()
    for state in Results(config).states(runs(config, "plain")):
        fingerprint = {**state.fingerprint.as_dict(), "modules": {}, **({"code": code} if code else {})}
        score = {"full": 1.0, "probsparse": 2.0}[state.run["aggregator"]] + state.run["seed"] / 100
        content = {
            "status": "finished", "run": dict(state.run.settings), "metrics": {"mse": score, "mae": score},
            "best": {}, "fingerprint": fingerprint, "finished": "2026-01-01", "device_seconds": 1.0,
        }  # fmt: skip
        folder = state.folder if not code else state.folder.parent / "old"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(content))


def test_a_row_that_is_not_chosen_shows_no_run_of_another_sweep(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave()
    assert favit("diff", ["tuned", "plain"]) == 1
    assert (
        "tuned asks for none of these runs yet; favit explain tuned shows which are open"
        in capsys.readouterr().err
    )
    assert favit("diff", ["stops", "plain"]) == 0
    assert "probsparse  2.010 ± 0.010 (3)  2.010 ± 0.010 (3)" in capsys.readouterr().out
    assert favit("tabulate", ["tuned", "stops"]) == 0
    with (study / "results" / "tables" / "tuned.runs.csv").open() as file:
        assert not list(csv.DictReader(file))
    with (study / "results" / "tables" / "stops.runs.csv").open() as file:
        assert {row["seed"] for row in csv.DictReader(file)} == {"0", "1", "2"}


@pytest.mark.slow
def test_accepting_a_sweep_that_stopped_asks_nothing_of_runs_that_never_were(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(code="a" * 16)
    assert favit("accept", ["stops", "--why", "only a name"]) == 0
    said = capsys.readouterr()
    assert said.out.count("accepted") == 6 and not said.err
    # One that is named is answered for.
    assert favit("accept", ["informer.full.none.seed4", "--why", "only a name"]) == 1
    assert "never run before" in capsys.readouterr().err


def test_a_plan_counts_the_seeds_of_what_is_trained() -> None:
    body = {"matrix": {**MATRIX, "encoding": ["none"], "seed": [0, 1, 2]}, "table": {"baseline": "full"}}
    said = []
    for beside in ([], ["repeat_last"]):
        config = parse({"sweeps": {"s": {**body, "beside": beside}}})
        said.append("\n".join(_detects(config, config.sweeps["s"], 0.02, None)))
        assert "3 seeds per row" in said[-1]
    assert said[0] != said[1], "one comparison more"
