# ruff: noqa: E501  (each code stands in one line)
"""What has to be executed before equal numbers say anything: on small modules, without torch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from favit.identity.closure import Reader
from favit.proof import changes, coverage
from favit.proof.probe import Tracer

# name -> (then, now, calls of `f`, what is said of today's code; empty where it was all executed)
CASES: dict[str, tuple[str, str, Sequence[object], str]] = {
    "layout": ("def f(x):\n    return x + 1\n", "def f( x ):\n    'words'\n    # why\n    return (x + 1)\n", [], ""),
    "not called": ("def f(x):\n    return x + 1\n", "def f(x):\n    return 1 + x\n", [], "line 2: was not executed"),
    "called": ("def f(x):\n    return x + 1\n", "def f(x):\n    return 1 + x\n", [1], ""),
    "late branch": (
        "def f(x):\n    return x\n", "def f(x):\n    if x > 100:\n        x = 0\n    return x\n", [1, 2], "line 2: holds a condition",
    ),
    "late branch, seen": (
        "def f(x):\n    return x\n", "def f(x):\n    if x > 100:\n        x = 0\n    return x\n", [1, 101], "",
    ),
    "late expression": ("def f(x):\n    return x\n", "def f(x):\n    return 0 if x > 100 else x\n", [1], "line 2: holds"),
    "short circuit": ("def f(x):\n    return x\n", "def f(x):\n    return x > 9 and x\n", [1], "line 2: holds"),
    "chained": ("def f(x):\n    return x < 9\n", "def f(x):\n    return 0 < x < 9\n", [1, 10], "line 2: holds"),
    "chained, seen": ("def f(x):\n    return x < 9\n", "def f(x):\n    return 0 < x < 9\n", [1, 10, -1], ""),
    "while": (
        "def f(x):\n    return x\n", "def f(x):\n    while x > 3:\n        x -= 1\n    return x\n", [5], "",
    ),
    "filter of a comprehension": (
        "def f(x):\n    return [x]\n", "def f(x):\n    return [y for y in [x] if y < 100]\n", [1], "line 2: holds",
    ),
    "lambda": ("def f(x):\n    return x\n", "def f(x):\n    g = lambda y: y\n    return x\n", [1], "line 2: was executed in part"),
    "removed return": (
        "def f(x):\n    if x > 100:\n        return 0\n    return x\n", "def f(x):\n    return x\n", [1], "",
    ),
    "a handler": (
        "def f(x):\n    return 1 / x\n", "def f(x):\n    try:\n        return 1 / x\n    except ZeroDivisionError:\n        return 0\n", [1], "line 4: was not executed",
    ),
    "a refusal": (
        "def f(x):\n    return x\n", "def f(x):\n    if x > 100:\n        raise ValueError(x)\n    return x\n", [1], "",
    ),
    "a refusal that is caught": (
        "def f(x):\n    return x\n",
        "def g(x):\n    try:\n        return f(x)\n    except ValueError:\n        return 0\n\n\ndef f(x):\n    if x > 100:\n        raise ValueError(x)\n    return x\n",
        [1], "line 10: was not executed",
    ),
    "an assertion": ("def f(x):\n    return x\n", "def f(x):\n    assert x < 100\n    return x\n", [1], ""),
    "a constant": (
        "N = 3\ndef f(x):\n    return x\ndef g(x):\n    return x + N\n", "N = 4\ndef f(x):\n    return x\ndef g(x):\n    return x + N\n", [1], "line 5: was not executed",
    ),
    "a constant of a constant": (
        "N = 3\nM = N + 1\ndef f(x):\n    return x + M\n", "N = 4\nM = N + 1\ndef f(x):\n    return x + M\n", [], "line 4: was not executed",
    ),
    "a constant in a condition": (
        "N = 30\ndef f(x):\n    return 0 if x > N else x\n", "N = 40\ndef f(x):\n    return 0 if x > N else x\n", [1], "line 3: holds",
    ),
    "a field of a class": (
        "class C:\n    n = 1\ndef f(x):\n    return C().n\ndef g(c):\n    return c.n\n", "class C:\n    n = 2\ndef f(x):\n    return C().n\ndef g(c):\n    return c.n\n", [1], "line 6: was not executed",
    ),
    "a base": ("class C:\n    n = 1\n", "class C(dict):\n    n = 1\n", [], ""),
    "a default": ("def f(x, y=1):\n    return x\n", "def f(x, y=2):\n    return x\n", [], "line 1: was not called"),
    "a decorator": ("def f(x):\n    return x\n", "@staticmethod\ndef f(x):\n    return x\n", [1], ""),
    "another import of a name": (
        "from math import floor as g\ndef f(x):\n    return x\ndef h(x):\n    return g(x)\n", "from math import ceil as g\ndef f(x):\n    return x\ndef h(x):\n    return g(x)\n", [1], "line 5: was not executed",
    ),
    "one more import": ("from math import floor\n", "from math import floor, ceil\n", [], ""),
    "settings decide": (
        "def f(x, clip=0):\n    return x\n", "def f(x, clip=0):\n    if clip:\n        x = 0\n    return x\n", [1], "",
    ),
    "settings decide an expression": (
        "def f(x, clip=0):\n    return x\n", "def f(x, clip=0):\n    return 0 if clip == 1 else x\n", [1], "",
    ),
    "settings decide one of two expressions": (
        "def f(x, clip=0):\n    return x\n", "def f(x, clip=0):\n    return 0 if clip else 1 if x > 9 else x\n", [1], "line 2: holds",
    ),
    "settings decide what else is asked": (
        "def f(x, clip=0):\n    return x\n", "def f(x, clip=0):\n    return 0 if clip and x else x\n", [1], "line 2: holds",
    ),
    "what a setting was made into": (
        "def f(x, clip=0):\n    return x\n", "def f(x, clip=0):\n    return 0 if clip + x > 9 else x\n", [1], "line 2: holds",
    ),
    "the seed decides an expression": (
        "def f(x, seed=0):\n    return x\n", "def f(x, seed=0):\n    return 0 if seed else x\n", [1], "line 2: holds",
    ),
    "the seed is no setting": (
        "def f(x, seed=0):\n    return x\n", "def f(x, seed=0):\n    if seed:\n        x = 0\n    return x\n", [1], "line 3: was not executed",
    ),
    "the environment": (
        "def f(x):\n    return x\n", "import os\ndef f(x):\n    return x if os.environ else x\n", [1], "reads an environment variable",
    ),
    "a with statement": (
        "def f(x):\n    return x\n", "import contextlib\ndef f(x):\n    with contextlib.nullcontext():\n        return x\n", [1], "",
    ),
    "another function is called": (
        "def g(x):\n    if x > 100:\n        return 0\n    return x\ndef f(x):\n    return x\n", "def g(x):\n    if x > 100:\n        return 0\n    return x\ndef f(x):\n    return g(x)\n", [1], "line 2: holds",
    ),
    "another function is called, at a remove": (
        "def g(x):\n    return 0 if x > 100 else x\ndef h(x):\n    return g(x)\ndef f(x):\n    return x\n", "def g(x):\n    return 0 if x > 100 else x\ndef h(x):\n    return g(x)\ndef f(x):\n    return h(x)\n", [1], "line 2: holds",
    ),
    "an override that is gone": (
        "class A:\n    def g(self, x):\n        return 0 if x > 100 else x\nclass B(A):\n    def g(self, x):\n        return x\ndef f(x):\n    return B().g(x)\n", "class A:\n    def g(self, x):\n        return 0 if x > 100 else x\nclass B(A):\n    pass\ndef f(x):\n    return B().g(x)\n", [1], "line 3: holds",
    ),
    "a function that is taken out of another": (
        "def f(x):\n    y = x + 1\n    return y * 2\n", "def g(x):\n    return x + 1\ndef f(x):\n    y = g(x)\n    return y * 2\n", [1], "",
    ),
    "a generator": (
        "def f(x):\n    return list(g(x))\ndef g(x):\n    yield x\n", "def f(x):\n    return list(g(x))\ndef g(x):\n    yield x\n    yield x\n", [1], "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_equal_numbers_say_nothing_of(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now, calls, said = CASES[name]
    reasons = traced(then, now, calls, tmp_path, monkeypatch)
    assert any(said in reason for reason in reasons) if said else not reasons, reasons


def test_the_code_of_then_is_looked_at_in_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now, calls, _ = CASES["removed return"]
    assert any("line 3: was not executed" in r for r in traced(now, then, calls, tmp_path, monkeypatch))
    later = "def f(x):\n    return x\n\n\ndef g(x):\n    return 0\n"
    assert traced(later, later.replace("0", "0 + 0"), [1], tmp_path / "g", monkeypatch)


def traced(
    then: str, now: str, calls: Sequence[object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What is said of the code of now, when `f` has been called with these."""
    readers = []
    for side, source in (("then", then), ("now", now)):
        (folder / side / "favit").mkdir(parents=True)
        (folder / side / "favit" / "toy.py").write_text(source)
        readers.append(Reader(root=folder / side))
    every = [changes.statements(reader.closure(["favit.toy"]), reader) for reader in readers]
    wanted = changes.changed(*every)[1]
    path = folder / "now" / "favit" / "toy.py"
    monkeypatch.syspath_prepend(str(path.parent))
    sys.modules.pop("toy", None)
    before, tracer = sys.gettrace(), Tracer([str(path)])
    sys.settrace(tracer)
    try:
        toy = importlib.import_module("toy")
        for argument in calls:
            toy.f(argument)
    finally:
        sys.settrace(before)
    found = {"favit.toy": coverage.executed(path, tracer.arcs.get(str(path), {}))}
    return list(coverage.not_proved(wanted, found, ["clip", "seed"], every[1], {}))
