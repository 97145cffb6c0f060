"""Models that stand beside those of the matrix, and what a row cannot use of a recipe."""

from __future__ import annotations

from typing import Any

import pytest

from favit.identity.closure import ROOT
from favit.sweeps import beside, published
from favit.sweeps.cells import unused
from favit.sweeps.config import ConfigError, SweepConfig, load, parse
from favit.sweeps.runs import Cell, cells

SERIES: dict[str, Any] = {
    "dataset": ["etth1"],
    "model": ["informer"],
    "aggregator": ["full", "probsparse"],
    "encoding": ["none"],
    "seed": [0, 1],
}
IMAGES: dict[str, Any] = {
    "dataset": ["digits"],
    "model": ["favit_b0", "favit_b1"],
    "aggregator": ["max_pool"],
    "encoding": ["none"],
    "seed": [0, 1],
}
RECIPES: dict[str, dict[str, Any]] = {
    "narrow": {"aggregator.factor": 2, "lr": 0.1},
    "images": {"image_size": 64},
    "wrong": {"batch_size": 0},
}


def sweep(matrix: dict[str, Any], **body: Any) -> SweepConfig:
    recipes = {name: RECIPES[name] for name in RECIPES if name == body.get("recipe")}
    return parse({"recipes": recipes, "sweeps": {"s": {"matrix": matrix, **body}}}).sweeps["s"]


def of_row(found: list[Cell], row: str) -> list[Cell]:
    return [cell for cell in found if cell.row == row]


def answer(matrix: dict[str, Any], **body: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        cells(sweep(matrix, **body))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_they_are_rows_of_every_block_under_their_own_names() -> None:
    found = cells(sweep({**SERIES, "horizon": [24, 48]}, beside=["dlinear"], table={"baseline": "dlinear"}))
    blocks = {cell.group for cell in found}
    assert len(blocks) == 2
    for block in blocks:
        (one, other) = [cell for cell in of_row(found, "dlinear") if cell.group == block]
        assert {one.run["seed"], other.run["seed"]} == {0, 1}
        assert one.run["horizon"] == dict(block)["horizon"]
        assert (one.label, one.reference, dict(one.values)) == ("DLinear", "dlinear", {"model": "dlinear"})


def test_what_learns_nothing_is_one_run_whatever_the_seeds() -> None:
    found = of_row(cells(sweep({**SERIES, "seed": [3, 4, 5]}, beside=["repeat_last"])), "repeat_last")
    assert [cell.run["seed"] for cell in found] == [0]


def test_a_mechanisms_settings_are_not_theirs_but_what_blocks_differ_in_is() -> None:
    matrix = {**SERIES, "aggregator": ["probsparse"], "aggregator.factor": [3, 4], "lr": [0.1, 0.2]}
    found = cells(sweep(matrix, beside=["dlinear"]))
    assert len({cell.group for cell in of_row(found, "dlinear")}) == 4
    assert {cell.run["lr"] for cell in of_row(found, "dlinear")} == {0.1, 0.2}
    assert not any("aggregator.factor" in cell.run.settings for cell in of_row(found, "dlinear"))
    rows = [{"label": "a", "aggregator": "full"}, {"label": "b", "aggregator": "full", "lr": 0.5}]
    mechanisms = {**{k: v for k, v in SERIES.items() if k != "aggregator"}, "row": rows}
    found = cells(sweep(mechanisms, beside=["dlinear"], settings={"lr": 0.3}, table={"rows": ["aggregator"]}))
    assert {cell.run["lr"] for cell in of_row(found, "dlinear")} == {0.3}


def test_settings_of_their_own_are_said() -> None:
    own = ["repeat_last", {"model": "linear", "lr": 0.5}, {"model": "nlinear", "lr": 0.5}]
    asked = sweep(SERIES, beside=own)
    assert {cell.run["lr"] for cell in of_row(cells(asked), "nlinear")} == {0.5}
    assert beside.said(asked) == "linear, nlinear: lr 0.5"


def test_models_of_timm_stand_beside_the_one_that_they_are_meant_for() -> None:
    found = cells(sweep(IMAGES, beside={"favit_b1": ["timm/resnet18"]}, table={"baseline": "max_pool"}))
    (block,) = {cell.group for cell in of_row(found, "timm-resnet18")}
    assert dict(block)["model"] == "favit_b1"
    assert found[-1].run.name == "timm-resnet18.none.none.seed1"
    assert found[-1].run["model"] == "timm-resnet18" and found[-1].label == "timm-resnet18"


def test_excluded_runs_have_nothing_beside_them() -> None:
    found = cells(sweep(IMAGES, exclude=[{"model": "favit_b1", "seed": 1}], beside=["timm/resnet18"]))
    seeds = [(dict(cell.group)["model"], cell.run["seed"]) for cell in of_row(found, "timm-resnet18")]
    assert sorted(seeds) == [("favit_b0", 0), ("favit_b0", 1), ("favit_b1", 0)]


@pytest.mark.parametrize(
    ("matrix", "body", "words"),
    [
        (SERIES, {"beside": ["dlinar"]}, "did you mean 'dlinear'?"),
        (SERIES, {"beside": ["informer"]}, "'informer' needs an aggregator"),
        (SERIES, {"beside": {"informr": ["dlinear"]}}, "did you mean 'informer'?"),
        (SERIES, {"beside": "dlinear"}, "beside must be a list or a mapping"),
        (SERIES, {"beside": [{"lr": 0.1}]}, "entry without a model"),
        (SERIES, {"beside": [{"model": "dlinear", "seed": 3}]}, "remove seed from the entry"),
        (SERIES, {"beside": [{"model": "dlinear", "lrr": 3}]}, "beside: unknown setting 'lrr'"),
        (SERIES, {"beside": [{"model": "dlinear", "model.kernel": 4}]}, "an odd number of steps"),
        ({**SERIES, "dataset": ["ettm1"]}, {"beside": ["seasonal_naive"]}, "96 steps does not fit"),
        (IMAGES, {"beside": ["dlinear"]}, "cannot be trained on 'digits'"),
        (IMAGES, {"beside": ["timm/resnet18.a1_in1k"]}, "names pretrained weights"),
        (IMAGES, {"beside": ["timm/resnet81"]}, "did you mean 'timm/resnet18'"),
        ({**IMAGES, "model": ["timm/resnet18"]}, {}, "takes no aggregator; write aggregator: none"),
        (
            {**SERIES, "model": ["dlinear"], "aggregator": ["none"], "encoding": ["learned"]},
            {},
            "no encoding",
        ),
        (
            SERIES,
            {"recipe": "images"},
            "from recipe 'images'; settings: {image_size: null} removes it",
        ),
        (SERIES, {"recipe": "wrong"}, "from recipe 'wrong'; settings: {batch_size: null} removes it"),
        (SERIES, {"recipe": "narrow", "settings": {"rl": None}}, "did you mean 'lr'?"),
    ],
)
def test_slips_are_answered_in_a_line(matrix: dict[str, Any], body: dict[str, Any], words: str) -> None:
    assert words in answer(matrix, **body)


def test_a_recipes_setting_that_no_row_has_is_left_out_and_said() -> None:
    asked = sweep({**SERIES, "aggregator": ["full"]}, recipe="narrow")
    assert {cell.run["lr"] for cell in cells(asked)} == {0.1} and unused(asked) == ["aggregator.factor"]
    assert unused(sweep(SERIES, recipe="narrow")) == []
    without = sweep({**SERIES, "aggregator": ["full"]}, recipe="narrow", settings={"aggregator.factor": None})
    assert unused(without) == [] and cells(without)


def test_what_is_left_out_of_a_recipe_has_its_default() -> None:
    (first, *_) = cells(sweep(SERIES, recipe="narrow", settings={"lr": None}))
    assert first.run["lr"] == 0.001


def test_a_single_aggregator_with_the_recipe_of_the_demonstration_works() -> None:
    recipe = "demo-forecast"
    raw = {"recipes": {recipe: dict(_recipe(recipe))}, "sweeps": {"s": {"recipe": recipe, "matrix": SERIES}}}
    for aggregator in ("full", "probsparse", "delta_v"):
        raw["sweeps"]["s"]["matrix"] = {**SERIES, "aggregator": [aggregator]}
        assert cells(parse(raw).sweeps["s"])


def _recipe(name: str) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())["recipes"][name]
    return found


def test_every_shipped_sweep_of_series_has_baselines_of_the_field() -> None:
    config = load(ROOT / "config.yaml")
    for body in config.sweeps.values():
        if body.staged:
            continue  # small ones that show how stages work
        found = cells(body)
        if found[0].run.task == "forecasting":
            assert {"repeat_last", "linear", "nlinear", "dlinear"} <= {cell.run["model"] for cell in found}


def test_numbers_published_for_one_input_and_horizon_stand_beside_these_only() -> None:
    place = {"dataset": "etth1", "model": "dlinear", "input_length": 336, "horizon": 96}
    found = published.find(place, "dlinear", "mse")
    assert found is not None and found.value == 0.375
    for other in ({"input_length": 64}, {"horizon": 24}, {"dataset": "etth2"}):
        assert published.find({**place, **other}, "dlinear", "mse") is None
    assert published.find({**place, "model": "repeat_last", "input_length": 64}, "repeat_last", "mse")
