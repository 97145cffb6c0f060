"""The page of sources names tests, files and recipes that there are."""

from __future__ import annotations

import re

import yaml

from favit.identity.closure import ROOT

PAGE = (ROOT / "docs" / "sources.md").read_text()
RECIPES = yaml.safe_load((ROOT / "config.yaml").read_text())["recipes"]


def test_every_test_named_is_there() -> None:
    named = set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", PAGE))
    assert len(named) > 20
    for file, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), (file, name)


def test_every_file_of_this_project_named_is_there() -> None:
    for path in re.findall(r"`(?:python )?((?:favit|tests|benchmarks)/[\w./]+\.py)", PAGE):
        assert (ROOT / path).is_file(), path


def test_every_recipe_of_a_source_has_its_place() -> None:
    ours = {name for name in RECIPES if name.startswith("demo-")}
    assert all(
        f"`{name}`" in PAGE or f"## {name}\n" in PAGE for name in RECIPES.keys() - ours - {"favit", "seed"}
    )
    assert "### favit and seed\n" in PAGE


def test_every_rate_and_size_of_a_recipe_stands_in_its_section() -> None:
    """Settings that a recipe states and its section quotes are those of the configuration."""
    for section in re.split(r"^#+ ", PAGE, flags=re.MULTILINE):
        title = section.partition("\n")[0]
        if title in RECIPES:
            for key, value in re.findall(r"`(\w+): ([\w.]+)`", section):
                stated = RECIPES[title][key]
                assert yaml.safe_load(value) == stated or float(value) == stated, (title, key, value)
