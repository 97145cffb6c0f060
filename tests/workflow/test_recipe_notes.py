"""What a recipe's writer wants known stands once in the dry run, and in the captions of tables."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from favit.analysis import sweep_tables, tables
from favit.analysis.layout import lay_out
from favit.identity.closure import ROOT
from favit.sweeps.config import ConfigError, parse
from favit.sweeps.published import load as published
from favit.sweeps.runs import cells, runs
from tests.conftest import Project
from tests.workflow.conftest import TINY

SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["favit", "seed"])
def test_the_dry_run_says_what_a_recipe_differs_in(project: Project, recipe: str) -> None:
    config = copy.deepcopy(TINY)
    config["recipes"][recipe] = {**SHIPPED["recipes"][recipe], **config["recipes"]["images"]}
    config["sweeps"]["images"]["recipe"] = recipe
    project.configure(config)
    done = project.snakemake("-n", "images")
    said = [line for line in (done.stdout + done.stderr).splitlines() if "images: recipe" in line]
    assert said == [f"images: recipe {recipe} {SHIPPED['recipes'][recipe]['note']}"]
    assert "\n" not in SHIPPED["recipes"][recipe]["note"]


def with_recipe(**recipe: Any) -> dict[str, Any]:
    config = copy.deepcopy(SHIPPED)
    config["recipes"]["study"].update(recipe)
    return config


def test_words_of_a_recipe_are_no_settings() -> None:
    plain, noted = parse(SHIPPED), parse(with_recipe(note="is new.", published="Compares recipes."))
    assert [run.key for run in runs(plain)] == [run.key for run in runs(noted)]
    assert noted.sweeps["cifar100-aggregators"].recipe.note == "is new."
    with pytest.raises(ConfigError, match=r"recipes.study.note is empty"):
        parse(with_recipe(note=""))
    with pytest.raises(ConfigError, match=r"recipes.study.note must be text, not 3"):
        parse(with_recipe(note=3))
    changed = copy.deepcopy(SHIPPED)
    changed["sweeps"]["cifar100-rates"]["settings"] = {"note": "no setting"}
    with pytest.raises(ConfigError, match="note"):
        runs(parse(changed), "cifar100-rates")


def legend(raw: dict[str, Any], sweep: str) -> list[str]:
    """The legend of a sweep's table with a made-up score in every row."""
    chosen = parse(raw).sweeps[sweep]
    in_sweep = cells(chosen)
    spec = sweep_tables.table_spec(chosen, in_sweep)
    scores = {"top1": 50.0, "top5": 80.0, "loss": 1.0, "mse": 0.5, "mae": 0.5}
    finished = {"status": "finished", "metrics": scores}
    results = [
        tables.RunResult(cell.row, dict(cell.group), cell.run["seed"], "valid", finished) for cell in in_sweep
    ]
    return list(lay_out(tables.make(spec, results, {})).legend)


@pytest.mark.parametrize("sweep", ["cifar100-aggregators", "cifar100-study-script", "cifar100-rates"])
def test_a_caption_says_which_recipe_and_what_published_values_compare(sweep: str) -> None:
    said = legend(SHIPPED, sweep)
    recipe = SHIPPED["sweeps"][sweep]["recipe"]
    assert f"Recipe: {recipe}." in said
    after = said[next(i for i, s in enumerate(said) if s.startswith("Published:")) + 1]
    assert after == SHIPPED["recipes"][recipe]["published"] and after.endswith(
        "so ours minus published also compares recipes."
    )


def test_a_caption_says_what_a_sweep_changes_of_its_recipe() -> None:
    raw = copy.deepcopy(SHIPPED)
    raw["sweeps"]["cifar100-rates"]["settings"] = {"epochs": 100, "batch_size": 128, "repeats": 1}
    assert "Recipe: study, with epochs 100, repeats 1." in legend(raw, "cifar100-rates")
    del raw["sweeps"]["demo-digits"]["recipe"]
    raw["sweeps"]["demo-digits"]["settings"] = {"epochs": 3, "warmup_epochs": 0, "cooldown_epochs": 0}
    assert not [s for s in legend(raw, "demo-digits") if "Recipe" in s]
    assert not [s for s in legend(SHIPPED, "demo-digits") if "also compares recipes" in s]


def test_every_recipe_of_images_with_published_rows_says_what_they_compare() -> None:
    shown = {place[0] for place in published()}
    for sweep in parse(SHIPPED).sweeps.values():
        if sweep.recipe.name != "informer" and shown & {str(d) for d in sweep.matrix.get("dataset", ())}:
            assert sweep.recipe.published, sweep.name
