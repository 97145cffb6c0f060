"""Import closures and digests: what counts as a change of code, and what does not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from favit.identity.closure import ROOT, Reader, analyse
from favit.identity.definitions import Sources
from favit.sweeps.config import ConfigError

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
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same time, other content
    assert look() != first
    source.write_text("x = 1\n")
    assert look() == first
    cache.write_text("{torn")
    assert look() == first


@pytest.mark.parametrize(
    ("test", "followed"),
    [("TYPE_CHECKING", False), ("typing.TYPE_CHECKING", False), ("not TYPE_CHECKING", True), ("True", True)],
)
def test_only_what_never_runs_is_left_out(test: str, followed: bool) -> None:
    head = "import typing\nfrom typing import TYPE_CHECKING\n"
    source = f"{head}if False:\n    pass\nelif {test}:\n    import favit.x as y\nelse:\n    from . import z\n"
    imports = set(analyse(source, "favit.a.b").imports)
    assert ("favit.x" in imports) is followed
    assert "favit.a.z" in imports
    for other in (
        "TYPE_CHECKING = typing = 1\n",
        "from favit.b import *\n",
        "import favit.b as TYPE_CHECKING, favit.c as typing\n",
    ):
        assert "favit.x" in analyse(source + other, "favit.a.b").imports  # what is meant cannot be told


def test_a_file_that_becomes_a_package_is_read_again(tmp_path: Path) -> None:
    """Its content is the same, and ``from .y`` in it means another module."""
    room = tmp_path / "favit"
    room.mkdir()
    for name, text in {"__init__": "", "x": "from .y import N\nM = N\n", "y": "N = 1\n"}.items():
        (room / f"{name}.py").write_text(text)

    def both() -> tuple[set[str], str]:
        reader, sources = (
            Reader(tmp_path, tmp_path / "modules.json"),
            Sources(tmp_path, tmp_path / "codes.json"),
        )
        found = set(reader.closure(["favit.x"]).modules), sources.code(["favit.x"]).digest
        reader.save()
        sources.save()
        return found

    modules, before = both()
    assert modules == {"favit", "favit.x", "favit.y"}
    (room / "x").mkdir()
    (room / "x.py").rename(room / "x" / "__init__.py")
    (room / "x" / "y.py").write_text("N = 2\n")
    modules, after = both()
    assert modules == {"favit", "favit.x", "favit.x.y"}
    assert after != before


def test_folders_without_init_are_followed(tmp_path: Path) -> None:
    (tmp_path / "favit" / "room" / "deep").mkdir(parents=True)
    (tmp_path / "favit" / "__init__.py").write_text("")
    (tmp_path / "favit" / "room" / "one.py").write_text("from .deep import two\n")
    (tmp_path / "favit" / "room" / "deep" / "two.py").write_text("")
    assert set(Reader(root=tmp_path).closure(["favit.room.one"]).modules) == {
        "favit",
        "favit.room.one",
        "favit.room.deep.two",
    }


def test_source_that_does_not_parse_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "favit").mkdir()
    (tmp_path / "favit" / "__init__.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(ConfigError, match=r"__init__\.py, line 2: invalid syntax"):
        Reader(root=tmp_path).closure(["favit"])


def test_a_byte_order_mark_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "favit").mkdir()
    file = tmp_path / "favit" / "__init__.py"
    file.write_text("x = 1\n")
    plain = Reader(root=tmp_path).closure(["favit"]).digest
    file.write_bytes(b"\xef\xbb\xbfx = 1\n")
    assert Reader(root=tmp_path).closure(["favit"]).digest == plain


# Written by one Python, read by another: a result must not depend on which.
VERSION_SENSITIVE = """
def f(x, /, *, y: int = 1, **rest):
    z = f"{x!r:>{y}} {{}} {x=} " "and" f' {rest["a"]}'
    match z:
        case None | [_, *_] | {"a": 1, **other}:
            return lambda: (yield)
    try:
        async def g(): return [i async for i in x if (n := i)]
    except* ValueError as error:
        raise SystemExit from error
    return {**rest, "é": 1e-3, "b": b"\\\\x00", "i": 1j, "e": ..., "t": None, "l": 10**3}[x:y:2, ...]

class A(B, metaclass=C):
    x: int
    @property
    def y(self): return self._y
"""


@pytest.mark.slow
@pytest.mark.parametrize("python", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_digests_are_the_same_for_every_python(python: str, tmp_path: Path) -> None:
    sources = [VERSION_SENSITIVE, *(p.read_text() for p in sorted((ROOT / "favit").rglob("*.py")))]
    (tmp_path / "sources.json").write_text(json.dumps(sources))
    code = (
        "import sys, types, json; sys.path.insert(0, sys.argv[1])\n"
        "config = types.ModuleType('favit.sweeps.config'); config.ConfigError = ValueError\n"
        "sys.modules['favit.sweeps.config'] = config\n"  # its packages are not installed for every Python
        "from favit.identity.closure import analyse\n"
        "print(json.dumps([[m.digest, m.definitions] for m in "
        "(analyse(s, 'favit.x') for s in json.load(open(sys.argv[2])))]))\n"
    )
    try:
        command = [python, "-c", code, str(ROOT), str(tmp_path / "sources.json")]
        # Where pyenv's shims stand in for Pythons, each must be asked for.
        environment = {**os.environ, "PYENV_VERSION": python.removeprefix("python")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    except FileNotFoundError:
        pytest.skip(f"no {python} here")
    if "pyenv" in done.stderr:
        pytest.skip(f"no {python} here")
    assert done.returncode == 0, done.stderr
    here = [analyse(source, "favit.x") for source in sources]
    assert json.loads(done.stdout) == [[m.digest, m.definitions] for m in here]
