"""Dataclasses declare where there is no constructor: data sets, training, and models that take a configuration."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any, Literal

import pytest

from favit.components import declared
from favit.components.bounds import AtLeast, Bound
from favit.components.neutral import Neutral
from favit.components.setting import Setting
from favit.components.source import source
from favit.sweeps.resolve import resolve
from favit.train import settings as training
from tests.components.conftest import Write

HEAD = """
import dataclasses as d
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, ClassVar, Literal
from favit.components.bounds import AtLeast
TASK = "forecasting"
"""


def data(body: str, decorator: str = "@dataclass(frozen=True)", name: str = "Settings") -> str:
    return f"{HEAD}\n{decorator}\nclass {name}:\n" + "".join(f"    {line}\n" for line in body.splitlines())


@pytest.mark.parametrize(
    "decorator", ["@dataclass", "@dataclass(frozen=True)", "@d.dataclass", "@d.dataclass()"]
)
def test_fields_are_settings_with_their_documentation(write: Write, decorator: str) -> None:
    body = (
        '"""All of it."""\nz: Annotated[int, AtLeast(0)] = 1\n"""First,\n   in two lines."""\n'
        "OTHER: ClassVar[int] = 3\n_: KW_ONLY\n"
        "a: Literal['x', 'y'] = 'y'\nb: float = field(default=-2)\n# a comment\n'''Last.'''\n"
        "def method(self): ..."
    )
    write("data/mine", data(body, decorator))
    read = declared.settings("data", "mine")
    assert list(read) == ["z", "a", "b"]
    assert read["z"] == Setting(int, 1, (AtLeast(0),), doc="First, in two lines.")
    assert read["a"] == Setting(str, "y", choices=("x", "y"))
    assert read["b"] == Setting(float, -2.0, doc="Last.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (data("a: int"), "no default"),
        (data("a: int = field(default_factory=int)"), "field(default=...)"),
        (data("a: int = field(default=1, init=False)"), "field(default=...)"),
        (data("a: int = field()"), "no default"),
        (data("a = 1"), "fields only"),
        (data("a: list = []"), "list"),
        (data("if True:\n    a: int = 1"), "fields only"),
        (data("a: int = 1", "@dataclass", "Settings(Base)"), "base class"),
        (data("a: int = 1", ""), "must be a dataclass"),
        (HEAD + "def Settings(): ...\n", "must be a dataclass"),
        (HEAD + "if True:\n    @dataclass\n    class Settings:\n        a: int = 1\n", "under a condition"),
    ],
)
def test_what_cannot_be_read_is_an_error(write: Write, text: str, words: str) -> None:
    write("data/mine", text)
    with pytest.raises(ValueError) as raised:
        declared.settings("data", "mine")
    assert words in str(raised.value) and "mine.py, line" in str(raised.value)


@pytest.mark.parametrize("task", ["classification", "forecasting"])
def test_training_is_read_as_python_understands_it(task: str) -> None:
    own = {"classification": [training.Images, training.Validation], "forecasting": [training.Forecasting]}
    kinds = [training.Optimisation, *own[task]]
    read = declared.training(task)
    assert list(read) == [field.name for kind in kinds for field in dataclasses.fields(kind)]
    for kind in kinds:
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            setting, hint = read[field.name], hints[field.name]
            assert setting.default == field.default and type(setting.default) is type(field.default)
            said = getattr(hint, "__metadata__", ())
            assert setting.bounds == tuple(part for part in said if isinstance(part, Bound))
            assert [setting.neutral] == ([part.value for part in said if isinstance(part, Neutral)] or [None])
            assert setting.choices == (typing.get_args(hint) if typing.get_origin(hint) is Literal else ())
            assert setting.doc


def every_bound() -> list[tuple[str, str, str, Any]]:
    """Task, setting, words and a value that each bound and choice of training refuses."""
    found: list[tuple[str, str, str, Any]] = []
    for task in ("classification", "forecasting"):
        for name, setting in declared.training(task).items():
            found += [(task, name, "must be one of", "no such choice")] * bool(setting.choices)
            for bound in setting.bounds:
                beyond = bound.limit - 1 if bound.words in ("at least", "above") else bound.limit + 1
                found.append((task, name, bound.words, setting.kind(beyond)))
    return found


RUNS = {
    "classification": {
        "dataset": "digits",
        "model": "favit_b0",
        "aggregator": "max_pool",
        "encoding": "none",
    },
    "forecasting": {"dataset": "etth1", "model": "informer", "aggregator": "full", "encoding": "none"},
}


@pytest.mark.parametrize(("task", "name", "words", "value"), every_bound())
def test_every_bound_and_choice_of_training_holds(task: str, name: str, words: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*{words}|{name} must be one of"):
        resolve({**RUNS[task], "seed": 0, name: value})


def components() -> list[tuple[str, str]]:
    from favit.components import registry

    return [(room, name) for room in registry.KINDS for name in registry.names(room)]


@pytest.mark.parametrize(("room", "name"), components())
def test_every_component_of_the_house_declares_in_the_new_form(room: str, name: str) -> None:
    stated = set(source(room, name).assigned)
    assert not stated & {"SETTINGS", "MINIMUM", "REQUIRES"}
    for key, setting in declared.settings(room, name).items():
        assert setting.check(key, setting.default) == setting.default
        for choice in setting.choices:
            assert setting.check(key, choice) == choice


NEUTRAL = "from favit.components import neutral\nfrom favit.components.neutral import Neutral\n"


def training_with(write: Write, marker: str) -> None:
    """Training gains a setting, marked."""
    text = Path(training.__file__).read_text()
    field = f"    rank: Annotated[int, AtLeast(0), {marker}] = 4\n    seed: "
    write(
        "train/settings", text.replace("import re\n", f"import re\n{NEUTRAL}").replace("    seed: ", field, 1)
    )


@pytest.mark.parametrize("marker", ["Neutral(0)", "Neutral(value=0)", "neutral.Neutral(0)"])
def test_a_setting_says_what_did_what_was_done_before_it(write: Write, marker: str) -> None:
    training_with(write, marker)
    assert declared.training("forecasting")["rank"] == Setting(int, 4, (AtLeast(0),), neutral=0)


@pytest.mark.parametrize(
    ("marker", "message"),
    [("Neutral()", "write it out"), ("Neutral('a')", "a whole number"), ("Neutral(-1)", "at least 0"),
     ("Neutral(1, 2)", "write it out")],
)  # fmt: skip
def test_a_neutral_value_is_one_that_the_setting_takes(write: Write, marker: str, message: str) -> None:
    training_with(write, marker)
    with pytest.raises(ValueError, match=message):
        declared.training("forecasting")


def test_a_component_s_default_is_neutral_already(write: Write) -> None:
    write("data/made", NEUTRAL + data("rank: Annotated[int, Neutral(0)] = 4"))
    with pytest.raises(ValueError, match="rank declares Neutral, which is for settings of training"):
        declared.settings("data", "made")
