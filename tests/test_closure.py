"""Import closures and digests: what counts as a change of code, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from favit.closure import Reader, analyse

SOURCE = '''"""A docstring."""
import math


def area(r):
    """Of a circle."""
    # a comment
    return math.pi * r**2


class Square:
    side = 1

    def area(self):
        return self.side ** 2
'''


def digest(source: str) -> str:
    return analyse(source, "favit.x").digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another, longer comment"),
        ('"""A docstring."""\n', ""),
        ('"""Of a circle."""', '"""Of a disc."""'),
        ("r**2", "(r ** 2)"),
        ("    side = 1\n", '    side = 1\n    """Length."""\n'),
        ("def area(r):", "def area(\n    r,\n):"),
    ],
)
def test_what_has_no_effect_changes_no_digest(old: str, new: str) -> None:
    assert old in SOURCE
    assert digest(SOURCE.replace(old, new)) == digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("r**2", "r**3", "area"),
        ("side = 1", "side = 1.0", "Square"),
        ("side = 1", "side = True", "Square"),
        ("self.side ** 2", "self.side * 2", "Square.area"),
        ("import math", "import cmath as math", "imports"),
        ("def area(r):", "def area(r=None):", "area"),
    ],
)
def test_every_change_of_meaning_is_seen_and_named(old: str, new: str, named: str) -> None:
    before, after = analyse(SOURCE, "favit.x"), analyse(SOURCE.replace(old, new), "favit.x")
    assert before.digest != after.digest
    changed = {n for n in before.definitions if before.definitions[n] != after.definitions.get(n)}
    assert changed == {named}


def test_closure_follows_imports_and_leaves_out_what_is_looked_up(tmp_path: Path) -> None:
    files = {
        "favit/__init__.py": "",
        "favit/a/__init__.py": "",
        "favit/a/one.py": "from favit.a import _help\nfrom favit.b.two import f\n",
        "favit/a/_help.py": "def g():\n    from favit import late\n",
        "favit/a/unnamed.py": "",
        "favit/b/__init__.py": "from . import deep\n",
        "favit/b/deep.py": "import json, torch\n",
        "favit/b/two.py": "def f(name):\n    return __import__('importlib').import_module(f'favit.a.{name}')\n",
        "favit/late.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from favit.a import unnamed\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    closure = Reader(root=tmp_path).closure(["favit.a.one"])
    expected = {
        "favit",
        "favit.a",
        "favit.a.one",
        "favit.a._help",
        "favit.b",
        "favit.b.two",
        "favit.b.deep",
        "favit.late",
    }
    assert set(closure.modules) == expected
    assert "torch" in closure.outside


def test_cache_is_by_content_and_may_vanish(tmp_path: Path) -> None:
    (tmp_path / "favit").mkdir()
    source = tmp_path / "favit" / "__init__.py"
    cache = tmp_path / "cache" / "modules.json"

    def look() -> str:
        reader = Reader(root=tmp_path, cache=cache)
        found = reader.closure(["favit"]).digest
        reader.save()
        return found

    source.write_text("x = 1\n")
    first = look()
    assert look() == first
    stat = source.stat()
    source.write_text("x = 2\n")
    import os

    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same time, other content
    assert look() != first
    source.write_text("x = 1\n")
    assert look() == first
    cache.write_text("{torn")
    assert look() == first
