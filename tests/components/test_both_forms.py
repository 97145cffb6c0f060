"""One file declares in one form; what is not plainly stated is an error in either."""

from __future__ import annotations

import warnings

import pytest

from favit.components import declared
from favit.components.literals import literals
from tests.components.conftest import Write

NEW = "from typing import Annotated, Literal\nfrom favit.components.bounds import AtLeast\n"


def with_old(old: str, keyword: str = "", more: str = "") -> str:
    star = f", *, {keyword}" if keyword else ""
    return f"{NEW}{old}\n{more}\nclass Aggregator:\n    def __init__(self, channels, heads, windows{star}): ...\n"


@pytest.mark.parametrize(
    "text",
    [
        with_old('SETTINGS = {"a": 1}', "a: Annotated[int, AtLeast(1)] = 1"),
        with_old('SETTINGS = {"a": 1}', "b: Literal['x', 'y'] = 'x'"),
        with_old("MINIMUM = {}", "a: Annotated[int, AtLeast(1)] = 1"),
        with_old('REQUIRES = {"1": "x"}', more="def check_settings(a): pass"),
        with_old(
            'SETTINGS = {"a": 1}',
            more="import dataclasses as d\n@d.dataclass\nclass Settings: a: int = 1",
        ),
    ],
)
def test_both_forms_in_one_file_are_an_error(write: Write, text: str) -> None:
    write("aggregators/mine", text)
    with pytest.raises(ValueError, match=r"mine\.py declares settings twice"):
        declared.settings("aggregators", "mine")


def test_a_dataclass_and_a_signature_in_one_file_are_an_error(write: Write) -> None:
    more = "from dataclasses import dataclass\n@dataclass\nclass Settings:\n    a: int = 1\n"
    write("aggregators/mine", with_old("", "b: int = 1", more))
    with pytest.raises(ValueError, match="in Settings and in a signature"):
        declared.settings("aggregators", "mine")


def test_choices_beside_the_same_choices_are_a_type_as_before(write: Write) -> None:
    write("aggregators/mine", with_old('SETTINGS = {"a": ("x", "y")}', "a: Literal['x', 'y'] = 'x'"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert declared.settings("aggregators", "mine")["a"].choices == ("x", "y")


@pytest.mark.parametrize(
    "statement",
    [
        'SETTINGS = {"a": 2 * 0.5}',
        "SETTINGS = dict(a=1)",
        'SETTINGS = {"a": 1}\nSETTINGS["b"] = 2',
        'SETTINGS = {"a": 1}\nSETTINGS |= {"b": 2}',
        'SETTINGS = {"a": 1}\nSETTINGS.update(b=2)',
        'if True:\n    SETTINGS = {"a": 1}',
        'SETTINGS, OTHER = {"a": 1}, 2',
        "SETTINGS: dict",
        'SETTINGS = {"a": 1}\nSETTINGS = make()',
        'MINIMUM = {"a": -x}\nSETTINGS = {"a": 1}',
        "from x import y\nIMAGES = not y",
    ],
)
def test_what_is_told_otherwise_than_as_a_literal_is_an_error(write: Write, statement: str) -> None:
    write("aggregators/mine", with_old(statement))
    with pytest.raises(ValueError, match=r"mine\.py, line \d+: \w+ cannot be read") as raised:
        literals("aggregators", "mine")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('SETTINGS = {"a": None}', "text, a number"),
        ('SETTINGS = {"a": [1]}', "text, a number"),
        ('SETTINGS = {"a": 1}\nMINIMUM = {"b": 1}', "names b, which SETTINGS lacks"),
        ('SETTINGS = {"a": 1}\nMINIMUM = {"a": 2}', "at least 2"),
        ('SETTINGS = ["a"]', "must be mappings"),
    ],
)
def test_old_declarations_that_say_nothing_valid(write: Write, text: str, words: str) -> None:
    write("aggregators/mine", with_old(text))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=words):
            declared.settings("aggregators", "mine")
