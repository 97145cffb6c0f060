"""What a constructor's signature declares, in every form that people write, and what cannot be read."""

from __future__ import annotations

import pytest

from favit.components import declared
from favit.components.bounds import Above, AtLeast, AtMost, Below
from favit.components.setting import Setting
from tests.components.conftest import Write

HEAD = """
from __future__ import annotations
from typing import Annotated, Literal, Optional
import typing as t
from typing import Annotated as A
from favit.components import bounds
from favit.components.bounds import AtLeast, AtMost, Above, Below, FromModel
from favit.components.bounds import AtLeast as Min

Choice = Literal["x", "y"]
Positive: t.TypeAlias = Annotated[int, AtLeast(1)]
LIMIT = 3
"""


def mechanism(arguments: str, head: str = HEAD, decorator: str = "") -> str:
    return f"{head}\nclass Aggregator:\n    {decorator}\n    def __init__({arguments}):\n        pass\n"


def read(write: Write, text: str) -> dict[str, Setting]:
    write("aggregators/mine", text)
    return dict(declared.settings("aggregators", "mine"))


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("n: int = 5", Setting(int, 5)),
        ("n: int = -5", Setting(int, -5)),
        ("n: float = 2", Setting(float, 2.0)),
        ("n: float = -1e-3", Setting(float, -0.001)),
        ("n: bool = True", Setting(bool, True)),
        ("n: 'int' = 5", Setting(int, 5)),
        ("n: 'Annotated[int, AtLeast(1)]' = 5", Setting(int, 5, (AtLeast(1),))),
        ('n: str = "it\'s"', Setting(str, "it's")),
        ("n: str = 'a' 'b'", Setting(str, "ab")),
        ('n: str = """a\nb"""', Setting(str, "a\nb")),
        ("n: Literal['x', 'y'] = 'y'", Setting(str, "y", choices=("x", "y"))),
        ("n: Literal[1, -2] = -2", Setting(int, -2, choices=(1, -2))),
        ("n: t.Literal['x'] = 'x'", Setting(str, "x", choices=("x",))),
        ("n: Choice = 'x'", Setting(str, "x", choices=("x", "y"))),
        ("n: Positive = 2", Setting(int, 2, (AtLeast(1),))),
        ("n: Annotated[Positive, AtMost(9)] = 2", Setting(int, 2, (AtLeast(1), AtMost(9)))),
        ("n: A[int, Min(1)] = 5", Setting(int, 5, (AtLeast(1),))),
        (
            "n: t.Annotated[float, bounds.Above(0), Below(limit=1.5)] = 1",
            Setting(float, 1.0, (Above(0), Below(1.5))),
        ),
        (
            "n: Annotated[int, AtLeast(-1), 'What it is.'] = 0",
            Setting(int, 0, (AtLeast(-1),), doc="What it is."),
        ),
        ("n: Annotated[Literal['x'], 'Why.'] = 'x'", Setting(str, "x", choices=("x",), doc="Why.")),
        ("# a comment: n\n        n: int = 5,  # another, = 6\n        ", Setting(int, 5)),
    ],
)
def test_a_keyword_is_a_setting(write: Write, argument: str, expected: Setting) -> None:
    assert read(write, mechanism(f"self, channels, heads, windows, *, {argument}")) == {"n": expected}


@pytest.mark.parametrize(
    "arguments",
    [
        "self, channels, heads, windows",
        "self, channels, heads, windows, extra=3",
        "self, channels, /, heads, windows",
        "self, *, channels, heads, windows",
        "self, *args, **kwargs",
        "self, channels, heads, windows, *, norm: Annotated[Optional[object], FromModel()] = None",
        "self, channels, heads, windows, *, norm: Annotated[int, FromModel]",
        "self, channels, heads, windows, *, norm: 'A[int, bounds.FromModel()]'",
    ],
)
def test_what_the_model_passes_is_no_setting(write: Write, arguments: str) -> None:
    assert read(write, mechanism(arguments)) == {}


@pytest.mark.parametrize("star", ["*", "*rest"])
def test_settings_come_in_the_order_of_the_file(write: Write, star: str) -> None:
    text = mechanism(
        f"self, channels, heads, windows, {star}, z: int = 1, a: int = 2, m: bool = False, **more"
    )
    assert list(read(write, text)) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("n: float = 2 * 0.5", ["2 * 0.5", "write a literal"]),
        ("n: int = LIMIT", ["LIMIT", "write a literal"]),
        ("n: int = int('3')", ["int('3')"]),
        ("n: str = f'a'", ["f'a'"]),
        ("n: int = None", ["None"]),
        ("n: Optional[int] = None", ["Optional[int]", "Annotated"]),
        ("n: int | None = None", ["int | None"]),
        ("n: tuple = (1, 2)", ["tuple"]),
        ("n: int = (1, 2)", ["(1, 2)"]),
        ("n: complex = 1j", ["complex"]),
        ("n: int = 1j", ["1j"]),
        ("n=5", ["no annotation"]),
        ("n: int", ["no default"]),
        ("n: Literal['x', 'y']", ["no default"]),
        ("n: Literal['x', 'y'] = 'z'", ["'x', 'y'", "'z'"]),
        ("n: Literal['x', 1] = 'x'", ["one type"]),
        ("n: Literal['x', 'x'] = 'x'", ["distinct"]),
        ("n: Literal['x', None] = 'x'", ["None"]),
        ("n: Literal[True, 1] = 1", ["one type"]),
        ("n: int = True", ["whole number", "True"]),
        ("n: int = 1.0", ["whole number", "1.0"]),
        ("n: bool = 0", ["true or false"]),
        ("n: float = 1e999", ["finite"]),
        ("n: Annotated[int, AtLeast(1)] = 0", ["at least 1", "0"]),
        ("n: Annotated[int, AtLeast(LIMIT)] = 5", ["LIMIT"]),
        ("n: Annotated[int, AtLeast()] = 5", ["AtLeast()", "AtMost"]),
        ("n: Annotated[int, AtLaest(1)] = 5", ["AtLaest(1)", "AtLeast"]),
        ("n: Annotated[int, AtLeast] = 5", ["AtLeast", "with a number"]),
        ("n: Annotated[int, AtLeast('1')] = 5", ["bounds are numbers"]),
        ("n: Annotated[str, AtLeast(1)] = 'x'", ["bounds are numbers"]),
        ("n: Annotated[int, print] = 5", ["print"]),
        ("n: 'int +' = 5", ["'int +'"]),
        ("n: list[int] = 5", ["list[int]"]),
        ("n: Unknown = 5", ["Unknown"]),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_where(
    write: Write, argument: str, words: list[str]
) -> None:
    text = mechanism(f"self, channels, heads, windows, *, good: int = 1, {argument}")
    with pytest.raises(ValueError) as raised:
        read(write, text)
    message = str(raised.value)
    assert "\n" not in message and "mine.py, line 16" in message
    for word in ["n", *words]:
        assert word in message, message


def test_a_bound_that_is_not_imported_is_none(write: Write) -> None:
    text = "from __future__ import annotations\nfrom typing import Annotated\n"
    with pytest.raises(ValueError, match=r"AtLeast\(1\), cannot be read"):
        read(write, mechanism("self, *, n: Annotated[int, AtLeast(1)] = 5", head=text))


@pytest.mark.parametrize("decorator", ["@checked", "@some.thing(3)"])
def test_decorators_do_not_hide_a_signature(write: Write, decorator: str) -> None:
    assert read(write, mechanism("self, *, n: int = 5", decorator=decorator)) == {"n": Setting(int, 5)}


@pytest.mark.parametrize(
    "text",
    [
        "class Aggregator(Base):\n    x = 1\n",
        "class Aggregator(Base):\n    class Inner:\n        def __init__(self, *, n=3): pass\n",
        "from favit.aggregators.max_pool import Aggregator\n",
        "Aggregator = make(3)\n",
    ],
)
def test_inherited_signatures_are_not_followed(write: Write, text: str) -> None:
    assert read(write, text) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def helper(): pass\n", "no class Aggregator"),
        ("def Aggregator(c, h, w, *, n: int = 1): pass\n", "must be a class"),
        ("if True:\n    class Aggregator: pass\n", "under a condition"),
        (
            "class Aggregator:\n    if True:\n        def __init__(self, *, n: int = 1): pass\n",
            "written|write it as def",
        ),
        ("class Aggregator:\n    __init__ = make()\n", "write it as def"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass Aggregator:\n    n: int = 1\n",
            "write it as def",
        ),
        ("class Aggregator(:\n", "mine.py, line 1"),
        ("class Aggregator: pass\n\x00", "mine.py"),
    ],
)
def test_files_that_cannot_be_read(write: Write, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        read(write, text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"# -*- coding: latin-1 -*-\n# \xe9\n"])
def test_a_file_is_read_as_python_reads_it(write: Write, mark: bytes) -> None:
    write("aggregators/mine", mark + mechanism("self, *, n: int = 5", head="").encode())  # type: ignore[arg-type]
    assert declared.settings("aggregators", "mine") == {"n": Setting(int, 5)}


def test_the_last_definition_counts_as_in_python(write: Write) -> None:
    twice = mechanism("self, *, n: int = 5") + mechanism("self, *, m: int = 6", head="")
    assert read(write, twice) == {"m": Setting(int, 6)}
