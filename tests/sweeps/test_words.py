"""What a slip in the configuration is answered with: the name that was meant, the row that it stands in, a limit."""

from __future__ import annotations

import math
from typing import Any

import pytest

from favit.components import declared, nearest
from favit.sweeps.config import ConfigError, load, parse
from favit.sweeps.resolve import AXES
from favit.sweeps.runs import cells

FORECAST = {"dataset": ["etth1"], "model": ["informer"], "encoding": ["none"], "seed": [0]}
FULL: dict[str, Any] = {**FORECAST, "aggregator": ["full"]}
IMAGES = {
    "dataset": ["digits"],
    "model": ["favit_b0"],
    "aggregator": ["max_pool"],
    "encoding": ["none"],
    "seed": [0],
}


def answer(matrix: dict[str, Any], recipes: dict[str, Any] | None = None, **sweep: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        config = parse({"recipes": recipes or {}, "sweeps": {"s": {"matrix": matrix, **sweep}}})
        cells(config.sweeps["s"])
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("learning_rate", "lr"),
        ("wd", "weight_decay"),
        ("pred_len", "horizon"),
        ("num-epochs", "epochs"),
        ("bs", "batch_size"),
    ],
)
def test_words_of_other_programs_are_understood(word: str, meant: str) -> None:
    assert f"did you mean '{meant}'?" in answer(FULL, settings={word: 1})
    assert f"did you mean '{meant}'?" in answer({**FULL, word: [1]})


def test_the_valid_names_begin_with_the_nearest() -> None:
    every = ["dlinear", "favit_b0", "informer", "linear", "nlinear"]
    said = nearest.unknown("model 'linnear'", "linnear", every)
    assert said.startswith("unknown model 'linnear'; did you mean 'linear'? Valid: linear, ")
    assert said.partition("Valid: ")[2].split(", ")[-2:] == ["favit_b0", "informer"], (
        "and end with the farthest"
    )
    assert sorted(said.partition("Valid: ")[2].split(", ")) == every, "each once"
    assert nearest.unknown("model 'x'", "x", every).endswith("; valid: " + ", ".join(every)), "none is near"


def test_words_that_are_near_in_meaning_name_what_is_there() -> None:
    known = {*AXES, *declared.training("classification"), *declared.training("forecasting")}
    assert set(nearest._MEANT) <= known
    assert not set(nearest._MEANING) & known, "a name of ours is never another's word"
    assert "did you mean 'horizon'" not in answer(IMAGES, settings={"pred_len": 1}), "images have none"


def test_an_axis_by_another_name_is_recognised() -> None:
    assert "did you mean aggregator by 'attention'?" in answer({**FORECAST, "attention": ["full"]})


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"aggregator": "full", "epoch": 3}, ["matrix.mechanism, row 2", "'epoch'", "'epochs'"]),
        ({"aggregator": ["full"]}, ["matrix.mechanism.1.aggregator must be text", "['full']"]),
        ({"aggregator": "full", "lr": None}, ["matrix.mechanism.1.lr must be", "None"]),
        ({"aggregator": "full", "lr": "fast"}, ["matrix.mechanism, row 2", "lr must be a number"]),
        ({"aggregator": "full", "label": math.nan}, ["row 2", "label must be text, not nan"]),
        ({"aggregator": "full", "label": True}, ["row 2", "label must be text, not True"]),
        ({"agregator": "full"}, ["row 2", "'agregator'"]),
    ],
)
def test_what_is_wrong_in_a_row_of_the_matrix_is_found_there(row: dict[str, Any], words: list[str]) -> None:
    message = answer({**FORECAST, "mechanism": [{"aggregator": "probsparse"}, row]})
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"epoch": 3}, ["recipes.unused", "'epochs'"]),
        ({"epochs": "x"}, ["recipes.unused", "epochs must be a whole number"]),
        ({"aggregator.factr": 3}, ["recipes.unused", "'aggregator.factor'"]),
        ({"image_size": 10**6}, ["recipes.unused", "image_size must be at most"]),
    ],
)
def test_recipes_that_no_sweep_uses_are_checked(recipe: dict[str, Any], words: list[str]) -> None:
    message = answer(FULL, recipes={"unused": recipe})
    for word in words:
        assert word in message, message


def test_unused_recipes_may_be_for_any_task_and_model() -> None:
    recipe = {
        "image_size": 64,
        "horizon": 24,
        "model.d_model": 64,
        "aggregator.factor": 3,
        "note": "is new",
        "lr": "1e-3",
    }
    parse({"recipes": {"unused": recipe}, "sweeps": {"s": {"matrix": FULL}}})


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ({**FULL, "seed": [10**23]}, "seed must be at most"),
        ({**FULL, "seed": [math.nan]}, "seed must be a whole number"),
        ({**IMAGES, "image_size": [100_000]}, "image_size must be at most 4096"),
        ({**FULL, "horizon": [10**12]}, "horizon must be at most"),
        ({**FULL, "epochs": [10**30]}, "epochs must be at most"),
        ({**FULL, "label": [math.nan]}, "label must be text"),
        ({**FULL, "lr": [math.inf]}, "lr must be finite"),
        ({**FULL, "aggregator": [math.nan]}, "unknown aggregator"),
    ],
)
def test_absurd_values_end_before_anything_is_queued(matrix: dict[str, Any], words: str) -> None:
    assert words in answer(matrix)


def test_a_sweep_without_a_recipe_says_that_defaults_hold() -> None:
    config = parse(
        {
            "recipes": {"r": {"lr": 0.1}},
            "sweeps": {"s": {"matrix": FULL}, "t": {"matrix": FULL, "recipe": "r"}},
        }
    )
    assert "no recipe named" in config.sweeps["s"].recipe.said
    assert config.sweeps["t"].recipe.said == ""


def test_every_shipped_sweep_names_a_recipe() -> None:
    assert all(sweep.recipe.name for sweep in load("config.yaml").sweeps.values())
