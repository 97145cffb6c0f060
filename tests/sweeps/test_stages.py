"""All that a sweep may come to ask for, by hand-counted expansions; what its writer has to change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from favit.analysis.spec import table_spec
from favit.commands.main import run as favit
from favit.identity.closure import ROOT
from favit.sweeps.config import ConfigError, load, parse
from favit.sweeps.runs import cells, runs
from favit.sweeps.stages import possible

ROUNDS = {"min": 3, "max": 5, "stop": "decided"}


def images(**changes: Any) -> dict[str, Any]:
    """A sweep of two aggregators of FaViT."""
    matrix = {"dataset": ["digits"], "model": ["favit_b0"], "aggregator": ["max_pool", "probsparse"]}
    matrix.update({"encoding": ["none"], "seed": [0, 1], **changes.pop("matrix", {})})
    return {"matrix": matrix, "table": {"baseline": "max_pool"}, **changes}


def series(**changes: Any) -> dict[str, Any]:
    """A sweep of two attentions of Informer."""
    matrix = {"dataset": ["etth1"], "model": ["informer"], "aggregator": ["full", "probsparse"]}
    matrix.update({"encoding": ["none"], "seed": [0, 1], **changes.pop("matrix", {})})
    return {"matrix": matrix, "table": {"baseline": "full"}, **changes}


def expanded(body: dict[str, Any]) -> Any:
    return possible(parse({"sweeps": {"s": body}}).sweeps["s"])


def test_seeds_until_decided_are_all_seeds_that_there_may_be() -> None:
    found = expanded(images(matrix={"seed": ROUNDS}))
    assert [place.row for place in found.places] == ["max_pool", "probsparse"]
    assert all([c.run["seed"] for c in p.options[0].cells] == [0, 1, 2, 3, 4] for p in found.places)
    plain = expanded(images(matrix={"seed": [0, 1, 2, 3, 4]}))
    assert {run.key for run in found.runs} == {run.key for run in plain.runs}, "the same runs, whoever asks"


def test_a_plain_sweep_has_one_option_a_place_and_the_cells_of_before() -> None:
    body = images()
    sweep = parse({"sweeps": {"s": body}}).sweeps["s"]
    assert not sweep.staged
    assert sorted(map(repr, possible(sweep).cells)) == sorted(map(repr, cells(sweep)))
    assert all(len(p.options) == 1 and not p.options[0].candidates for p in possible(sweep).places)


def test_a_grid_is_expanded_for_each_row_and_refit_trains_on_all_images() -> None:
    tune = {"grid": {"lr": [1e-4, 1e-3], "drop_path": [0.0, 0.1]}, "seeds": [100, 101], "refit": True}
    found = expanded(images(tune=tune, settings={"validation_split": 0.1}))
    assert len(found.places) == 2
    for place in found.places:
        values = [(o.values["lr"], o.values["drop_path"]) for o in place.options]
        assert values == [(1e-4, 0.0), (1e-4, 0.1), (1e-3, 0.0), (1e-3, 0.1)], "the first setting slowest"
        for option in place.options:
            assert [run["seed"] for run in option.candidates] == [100, 101]
            assert {run["validation_split"] for run in option.candidates} == {0.1}
            assert [(c.run["seed"], c.run["validation_split"]) for c in option.cells] == [(0, 0.0), (1, 0.0)]
            for run in (*option.candidates, *(cell.run for cell in option.cells)):
                assert (run["lr"], run["drop_path"]) == (option.values["lr"], option.values["drop_path"])
    assert len(found.runs) == 2 * 4 * (2 + 2)
    assert len({run.name for run in found.runs}) == len(found.runs), "each has a name of its own"


def test_how_a_setting_was_chosen_is_no_part_of_a_run() -> None:
    tune = {"grid": {"lr": [1e-4, 1e-3]}, "seeds": [100], "refit": True}
    tuned = expanded(images(tune=tune, settings={"validation_split": 0.1}))
    plain = expanded(images(settings={"lr": 1e-3}))
    assert {run.key for run in plain.runs} <= {run.key for run in tuned.runs}


def test_without_refit_the_part_stays_held_back_and_series_have_theirs_anyway() -> None:
    tune = {"grid": {"lr": [1e-4, 1e-3]}, "seeds": [100]}
    found = expanded(images(tune=tune, settings={"validation_split": 0.1}))
    assert {cell.run["validation_split"] for cell in found.cells} == {0.1}
    assert len(expanded(series(tune=tune)).runs) == 2 * 2 * 3


def test_a_setting_that_a_row_lacks_is_no_choice_for_it() -> None:
    tune = {"grid": {"aggregator.factor": [3, 5, 7]}, "seeds": [100]}
    found = expanded(series(tune=tune))
    assert {place.row: len(place.options) for place in found.places} == {"full": 1, "probsparse": 3}


TUNE = {"grid": {"lr": [1e-4]}, "seeds": [100]}


def test_a_model_that_is_not_trained_has_nothing_to_choose() -> None:
    grid = {"lr": [1e-4, 1e-3]}
    found = expanded(series(tune={**TUNE, "grid": grid}, beside=["repeat_last"]))
    beside = next(place for place in found.places if place.row == "repeat_last")
    assert len(beside.options) == 1 and not beside.options[0].candidates


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (images(tune=TUNE), "validation_split is 0"),
        (series(tune={**TUNE, "refit": True}), "tune.refit is for images"),
        (series(tune=TUNE, matrix={"lr": [1e-4]}), "lr is in the matrix"),
        (series(tune={**TUNE, "grid": {"lrr": [1e-4]}}), "lrr"),
        (series(tune={**TUNE, "grid": {"aggregator": ["full"]}}), "aggregator cannot be tuned"),
        (series(tune={**TUNE, "grid": {"lr": [-1.0]}}), "lr"),
        (series(tune={"grid": {"lr": [1e-4]}}), "missing key 'seeds'"),
        (series(tune={**TUNE, "table": 1}), "key 'table'"),
        (images(tune=TUNE, settings={"validation_split": 0.7}), "validation_split"),
        (images(matrix={"seed": ROUNDS}, table={}), "table.baseline"),
        (images(matrix={"seed": ROUNDS}, exclude=[{"aggregator": "max_pool", "seed": 4}]), "the same seeds"),
        (images(matrix={"seed": {"min": 5, "max": 3, "stop": "decided"}}), "min (5) exceeds max (3)"),
        (images(matrix={"seed": {"min": 1, "max": 3, "stop": "decided"}}), "at least 2"),
        (images(matrix={"seed": {"min": 3, "max": 5}}), "missing key 'stop'"),
        (images(matrix={"seed": 3}), "must be a list"),
        (images(matrix={"seed": ROUNDS}, table={"baseline": "max_pool", "equivalence_margin": 0}), "margin"),
    ],
)
def test_slips_are_told_in_one_line(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        expanded(body)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).count("sweeps.s:") <= 1


def test_the_command_prints_what_is_asked_for_now_and_all_that_may_be(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {
        "results": str(tmp_path / "results"),
        "data": str(tmp_path),
        "sweeps": {"s": series(matrix={"seed": ROUNDS})},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    assert favit("sweep", ["s", "--config", str(tmp_path / "c.yaml")]) == 0
    now = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted((r["aggregator"], r["seed"]) for r in now) == [
        (a, s) for a in ("full", "probsparse") for s in (0, 1, 2)
    ]
    assert favit("sweep", ["s", "--config", str(tmp_path / "c.yaml"), "--all-stages"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10 == len(runs(parse(config)))
    assert favit("explain", ["s", "--config", str(tmp_path / "c.yaml")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("missing ") for line in said) == 6
    assert sum(line.startswith("open ") and "seed" in line for line in said) == 4


def test_the_study_s_three_rates_are_chosen_for_each_of_three_arms() -> None:
    found = possible(load(ROOT / "config.yaml").sweeps["cifar100-tuned"])
    assert [place.row for place in found.places] == ["max_pool", "probsparse", "random"]
    assert [[o.values["lr"] for o in p.options] for p in found.places] == [[1e-4, 1.25e-4, 1e-3]] * 3
    assert len(found.runs) == 3 * 3 * (1 + 3)
    assert {cell.run["validation_split"] for cell in found.cells} == {0.0}


@pytest.mark.parametrize(("page", "name"), [("tuning", "demo-tuned"), ("seeds", "demo-seeds")])
def test_the_table_of_a_page_is_of_a_sweep_that_its_reader_has(page: str, name: str) -> None:
    config, text = load(ROOT / "config.yaml"), (ROOT / "docs" / f"{page}.md").read_text()
    sweep = config.sweeps[name]
    spec = table_spec(sweep, possible(sweep).cells)
    assert f"snakemake --cores 2 {name}" in text
    assert f"> {spec.caption}\n" in text and f"\n> Recipe: {spec.recipe}. " in text
    assert all(f"\n> | {row.label}<sup>" in text or f"\n> | {row.label} |" in text for row in spec.rows)
    for target in ("all", *config.groups):  # nobody trains it unasked
        assert sweep not in config.sweeps_of(target)
