"""The reference says what the declarations say: its pages are those that are made from them now."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from favit.components import declared, registry
from favit.identity.closure import ROOT
from favit.sweeps.config import parse

sys.path.insert(0, str(ROOT / "docs" / "_site"))
import configuration
import reference

SCHEMA = configuration.Schema()


# The page of commands imports them all; `make docs` holds it to its making each time.
MADE = [pytest.param(n, marks=pytest.mark.slow) if n == "commands.md" else n for n in reference.pages()]


@pytest.mark.parametrize("name", MADE)
def test_a_page_is_what_is_made_from_the_declarations_now(name: str) -> None:
    written = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == reference.pages()[name](), f"docs/reference/{name} is of before: make reference"


def test_no_page_is_left_over() -> None:
    assert {path.name for path in reference.FOLDER.iterdir()} == set(reference.pages())


def keys(schema: object, at: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """Every key that the schema names, wherever it stands, with what it says of it."""
    if isinstance(schema, dict):
        for name, below in schema.get("properties", {}).items():
            yield f"{at}.{name}", below
        for name, below in schema.items():
            yield from keys(below, f"{at}.{name}")


def test_every_key_is_described() -> None:
    found = dict(keys(SCHEMA.whole))
    assert len(found) > 40
    assert not [name for name, said in found.items() if not said.get("description")]


def test_every_setting_is_described() -> None:
    for task in ("classification", "forecasting"):
        assert not [name for name, setting in declared.training(task).items() if not setting.doc]
    for room in registry.KINDS:
        for name in registry.names(room):
            said = configuration.described(room, name)
            settings = declared.settings(room, name)
            assert not [key for key, setting in settings.items() if not (setting.doc or said.get(key))], name


def test_defaults_of_the_schema_are_what_holds_where_nothing_is_given() -> None:
    axes = {
        "dataset": ["digits"],
        "model": ["favit_b0"],
        "aggregator": ["linear"],
        "encoding": ["none"],
        "seed": [0],
    }
    config = parse({"sweeps": {"s": {"matrix": axes}}})
    sweep = config.sweeps["s"]
    top = {name: said.get("default") for name, said in SCHEMA.whole["properties"].items()}
    for name in ("data", "results", "device", "keep", "versions", "groups"):
        found = getattr(config, name)
        assert top[name] == (found if isinstance(found, dict) else str(found)), name
    assert config.retrain is (top["retrain"] == "yes")
    body = SCHEMA.whole["$defs"]["sweep"]["properties"]
    assert body["all"]["default"] is sweep.in_all
    for name, said in body["table"]["properties"].items():
        found = getattr(sweep.table, name)
        assert said.get("default") == (list(found) if isinstance(found, tuple) else found), name
    tuned = parse({"sweeps": {"s": {"matrix": axes, "tune": {"grid": {"lr": [0.1]}, "seeds": [0]}}}})
    assert (
        tuned.sweeps["s"].tune
        and body["tune"]["properties"]["refit"]["default"] is tuned.sweeps["s"].tune.refit
    )


def test_resources_that_nobody_names_are_what_the_rule_asks_for() -> None:
    rule = (ROOT / "workflow" / "rules" / "train.smk").read_text()
    asked = dict(re.findall(r'asked\("(\w+)", (\d+)\)', rule))
    said = {
        name: str(key["default"]) for name, key in SCHEMA.whole["$defs"]["resources"]["properties"].items()
    }
    assert asked == said
