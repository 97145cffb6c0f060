"""What makes a row of a table and what a block, that no baseline is out of reach unsaid, and names of runs."""

from __future__ import annotations

from typing import Any

import pytest

from favit.identity.closure import ROOT
from favit.results.selection import select
from favit.sweeps.config import ConfigError, load, parse
from favit.sweeps.runs import Cell, cells, runs

IMAGES = {"dataset": ["digits"], "aggregator": ["max_pool"], "encoding": ["none"], "seed": [0, 1]}


def placed(matrix: dict[str, Any], table: dict[str, Any] | None = None, **sweep: Any) -> list[Cell]:
    body = {"matrix": {**IMAGES, **matrix}, "table": table or {}, **sweep}
    return cells(parse({"sweeps": {"s": body}}).sweeps["s"])


def shown(found: list[Cell]) -> dict[str, tuple[str, set[Any]]]:
    """Row -> label and blocks."""
    return {c.row: (c.label, {d.group for d in found if d.row == c.row}) for c in found}


def test_models_can_be_rows_of_one_block() -> None:
    matrix = {"model": ["favit_b0", "favit_b2"], "aggregator": ["max_pool", "linear"]}
    table = {
        "rows": ["model", "aggregator"],
        "baseline": "favit_b0/max_pool",
        "labels": {"max_pool": "Max pool"},
    }
    block = {(("dataset", "digits"),)}
    assert shown(placed(matrix, table)) == {
        "favit_b0/max_pool": ("FaViT-B0, Max pool", block),
        "favit_b0/linear": ("FaViT-B0, linear", block),
        "favit_b2/max_pool": ("FaViT-B2, Max pool", block),
        "favit_b2/linear": ("FaViT-B2, linear", block),
    }


def test_what_makes_no_row_makes_blocks() -> None:
    matrix = {"model": ["favit_b0"], "aggregator": ["max_pool", "linear"], "lr": [0.1, 0.2]}
    found = shown(placed(matrix, {"rows": ["lr"], "baseline": "0.1"}))
    assert found.keys() == {"0.1", "0.2"} and found["0.1"][0] == "lr 0.1"
    assert {dict(group)["aggregator"] for group in found["0.1"][1]} == {"max_pool", "linear"}


def test_a_mechanisms_own_settings_need_no_words_where_its_name_tells_blocks_apart() -> None:
    forecast = {**FORECAST, "aggregator": ["full", "probsparse"], "lr": [0.1, 0.2]}
    settings = {"aggregator.factor": 2}
    body = {"matrix": forecast, "settings": settings, "table": {"rows": ["lr"], "baseline": "0.1"}}
    (group, *_) = {cell.group for cell in cells(parse({"sweeps": {"s": body}}).sweeps["s"])}
    assert [axis for axis, _ in group] == ["dataset", "model", "aggregator"]


def test_a_rows_own_label_stands_for_its_mechanism() -> None:
    rows = [{"label": "pool", "aggregator": "max_pool"}, {"label": "fold", "aggregator": "linear"}]
    matrix = {"model": ["favit_b0", "favit_b2"], "row": rows}
    given = {k: v for k, v in IMAGES.items() if k != "aggregator"}
    body = {"matrix": {**given, **matrix}, "table": {"rows": ["model", "aggregator"]}}
    found = shown(cells(parse({"sweeps": {"s": body}}).sweeps["s"]))
    assert [label for label, _ in found.values()] == [
        "FaViT-B0, pool", "FaViT-B0, fold", "FaViT-B2, pool", "FaViT-B2, fold",
    ]  # fmt: skip


def test_published_rows_are_those_of_the_mechanism() -> None:
    matrix = {"model": ["favit_b0"], "aggregator": ["max_pool", "linear"]}
    table = {"rows": ["model", "aggregator"], "references": {"linear": "pointwise_conv"}}
    assert {c.row: c.reference for c in placed(matrix, table)} == {
        "favit_b0/max_pool": "max_pool",
        "favit_b0/linear": "pointwise_conv",
    }
    whole = {"rows": ["model", "aggregator"], "references": {"favit_b0/linear": "avg_pool"}}
    assert {c.reference for c in placed(matrix, whole)} == {"max_pool", "avg_pool"}


def test_a_baseline_in_another_block_is_an_error_with_the_remedy() -> None:
    matrix = {"model": ["favit_b0", "favit_b2"], "aggregator": ["max_pool", "linear"]}
    exclude = [{"model": "favit_b2", "aggregator": "max_pool"}]
    with pytest.raises(ConfigError) as raised:
        placed(matrix, {"baseline": "max_pool"}, exclude=exclude)
    message = str(raised.value)
    assert "\n" not in message
    for words in ("model favit_b0", "'linear'", "model favit_b2", "table.rows: [model, aggregator]"):
        assert words in message
    table = {"rows": ["model", "aggregator"], "baseline": "favit_b0/max_pool"}
    assert len(placed(matrix, table, exclude=exclude)) == 6
    assert placed(matrix, {}, exclude=exclude)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"rows": ["modle"]}, ["table.rows", "'modle'", "'model'"]),
        ({"rows": ["seed"]}, ["table.rows", "'seed'"]),
        ({"rows": []}, ["rows is empty"]),
        ({"rows": ["model", "model"]}, ["rows lists a value twice"]),
        ({"rows": ["model", "aggregator"], "baseline": "max_pool"}, ["'max_pool'", "'favit_b0/max_pool'"]),
        ({"pairing": "sometimes"}, ["pairing", "auto, paired, unpaired"]),
    ],
)
def test_slips_in_what_makes_a_row(table: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        placed({"model": ["favit_b0"]}, table)
    for word in words:
        assert word in str(raised.value)


def named(*sweeps: dict[str, Any]) -> list[list[str]]:
    config = parse({"sweeps": {f"s{i}": sweep for i, sweep in enumerate(sweeps)}})
    return [[cell.run.name for cell in cells(sweep)] for sweep in config.sweeps.values()]


FORECAST = {"dataset": ["etth1"], "model": ["informer"], "encoding": ["none"], "seed": [0]}


def test_names_show_what_differs_within_their_sweep() -> None:
    probsparse = {**FORECAST, "aggregator": ["probsparse"]}
    grid = {"matrix": {**probsparse, "lr": [1e-4, 0.01]}}
    factors = {"matrix": {**probsparse, "aggregator.factor": [3, 5], "seed": [0, 1]}}
    plain = {"matrix": {**FORECAST, "aggregator": ["full", "probsparse"]}}
    assert named(grid, factors, plain) == [
        ["informer.probsparse.none.lr=0.0001.seed0", "informer.probsparse.none.lr=0.01.seed0"],
        [f"informer.probsparse.none.aggregator.factor={f}.seed{s}" for s in (0, 1) for f in (3, 5)],
        ["informer.full.none.seed0", "informer.probsparse.none.seed0"],
    ]


def test_no_two_runs_of_a_shipped_sweep_share_a_name() -> None:
    config = load(ROOT / "config.yaml")
    for sweep in config.sweeps.values():
        found = {cell.run.key: f"{cell.run['dataset']} {cell.run.name}" for cell in cells(sweep)}
        assert len(set(found.values())) == len(found)


def test_runs_are_found_by_either_name() -> None:
    body = {"matrix": {**FORECAST, "aggregator": ["full"], "lr": [0.1, 0.2]}}
    config = parse({"sweeps": {"s": body}})
    one, both = (select(config, f"informer.full.none{lr}.seed0") for lr in (".lr=0.2", ""))
    assert [run["lr"] for run in one] == [0.2]
    assert [run["lr"] for run in both] == [0.1, 0.2]
    assert select(config, "etth1.informer.full.none.lr=0.1.seed0") == both[:1]


@pytest.mark.parametrize("order", [("one", "grid"), ("grid", "one")])
def test_a_run_of_two_sweeps_has_the_name_that_says_most(order: tuple[str, str]) -> None:
    full = {**FORECAST, "aggregator": ["full"]}
    both = {"one": {"matrix": full}, "grid": {"matrix": {**full, "epochs": [300, 30]}}}
    names = [run.name for run in runs(parse({"sweeps": {name: both[name] for name in order}}))]
    assert names == [f"informer.full.none.epochs={n}.seed0" for n in (300, 30)]
