"""A run's code by definition: what changes its digest and what does not, on small trees made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from favit.identity import definitions
from favit.identity.definitions import Code, Sources, differing

TREE = {
    "favit/__init__.py": "",
    "favit/root.py": """
from favit import helper
from favit.helper import scaled, Base
from favit.constants import FACTOR as F

class Model(Base):
    size = 3
    def forward(self, x, scale=F):
        y = scaled(x) * scale
        return helper.shifted(y)
""",
    "favit/helper.py": """
import math
from favit.constants import OFFSET

def scaled(x):
    if x is None:
        raise ValueError(f"x must be a number, not {x!r}")
    total = x * math.pi
    return total

def shifted(x):
    return x + OFFSET

def unreached(x):
    return scaled(x) - 1

class Base:
    def __repr__(self):
        return "Base"

class Unreached(Base):
    pass
""",
    "favit/constants.py": "FACTOR = 2\nOFFSET = 1\nOTHER = 7\n",
}


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def code(folder: Path, *roots: str, **changed: str) -> Code:
    """The code of a tree; keywords replace modules' sources."""
    sources = Sources(folder)
    for module, text in changed.items():
        sources.replace(f"favit.{module}", text)
    return sources.code(roots or ["favit.root"])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return written(tmp_path, TREE)


def edited(tree: Path, module: str, old: str, new: str) -> Code:
    text = TREE[f"favit/{module}.py"]
    assert text.count(old) == 1, (text.count(old), old)
    return code(tree, **{module: text.replace(old, new)})


CHANGES = [
    ("root", "size = 3", "size = 4"),
    ("root", "scale=F", "scale=1"),
    ("root", "scaled(x) * scale", "scale * scaled(x)"),
    ("root", "forward(self, x,", "forward(self, z,"),
    ("helper", "math.pi", "math.e"),
    ("helper", "is None", "is not None"),
    ("helper", "x + OFFSET", "x - OFFSET"),
    ("helper", 'return "Base"', 'return "base"'),
    ("constants", "FACTOR = 2", "FACTOR = 2.0"),
    ("constants", "OFFSET = 1", "OFFSET = True"),
    ("helper", "ValueError", "TypeError"),
    ("helper", "not {x!r}", "not {x}"),
    ("helper", "import math", "import cmath as math"),
]

HARMLESS = [
    ("helper", "scaled(x) - 1", "scaled(x) - 2"),
    ("helper", "class Unreached(Base):\n    pass", "class Unreached(Base):\n    size = 4"),
    ("constants", "OTHER = 7", "OTHER = 8"),
    ("helper", "x must be a number, not", "expected a number, but got"),
    ("helper", "total = x * math.pi\n    return total", "product = x * math.pi\n    return product"),
    ("helper", "def shifted(x):", "def shifted(x: float) -> float:"),
    ("helper", "def shifted(x):", "def shifted(x):\n    '''Moves.'''"),
    ("helper", "total = x * math.pi", "total: float = x * math.pi  # a comment"),
    ("root", "import FACTOR as F", "import FACTOR as F, OTHER"),
]


@pytest.mark.parametrize(("module", "old", "new"), CHANGES)
def test_what_a_run_can_execute_counts(tree: Path, module: str, old: str, new: str) -> None:
    assert edited(tree, module, old, new).digest != code(tree).digest


@pytest.mark.parametrize(("module", "old", "new"), HARMLESS)
def test_what_it_cannot_execute_or_see_does_not(tree: Path, module: str, old: str, new: str) -> None:
    assert edited(tree, module, old, new).digest == code(tree).digest


# What is declared like things that have an effect on others, and has none: the file does not count whole.
PRECISE = [
    "from typing import Annotated\nfrom favit.components.bounds import AtLeast\n"
    "def used(x: Annotated[int, AtLeast(1)] = 1):\n    return x\n",
    "import enum\nclass Kind(enum.Enum):\n    A = 1\n    def __str__(self):\n        return self.name\n"
    "def used(x):\n    return Kind.A\n",
    "from favit.helper import Base, shifted\nfrom favit.constants import FACTOR\nimport math\n"
    "class Kind(Base):\n    again = FACTOR\n    shift = shifted\n    e = math.e\n"
    "def used(x):\n    return Kind()\n",
    "import importlib\ndef used(x):\n    return importlib.import_module(f'timm.models.{x}')\n",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json\ndef used(x):\n    return x\n",
]


@pytest.mark.parametrize("text", PRECISE)
def test_what_nothing_reaches_does_not_count_beside_them(tree: Path, text: str) -> None:
    bounds = "class AtLeast:\n    def __init__(self, limit):\n        self.limit = limit\n"
    files = {"favit/more.py": "", "favit/components/__init__.py": "", "favit/components/bounds.py": bounds}
    written(tree, files)
    root = TREE["favit/root.py"] + "\nfrom favit.more import used\nrun = used\n"
    before = code(tree, root=root, more=text + "def unused():\n    return 1\n")
    assert before.whole == {}
    assert code(tree, root=root, more=text + "def unused():\n    return 2\n").digest == before.digest


def test_a_bound_is_only_checked_and_says_nothing(tree: Path) -> None:
    written(tree, {"favit/more.py": "", "favit/components/bounds.py": "class AtLeast:\n    pass\n"})
    root = TREE["favit/root.py"] + "\nfrom favit.more import used\nrun = used\n"
    assert code(tree, root=root, more=PRECISE[0]).digest == code(
        tree, root=root, more=PRECISE[0].replace("(1)]", "(2)]")
    ).digest  # fmt: skip


def test_the_analyser_is_all_of_itself() -> None:
    """What was digested by another one is remembered no longer: no file of it may be forgotten."""
    program = Sources().code(["favit.identity.definitions"]).loaded
    files = {name.rpartition(".")[2] for name in program if name.startswith("favit.identity.")}
    assert set(definitions._ANALYSER) == files - {"digests"}  # which is how they are written


def test_a_constant_s_name_and_a_definition_s_module_say_nothing(tree: Path) -> None:
    before = code(tree)
    renamed = code(
        tree,
        constants=TREE["favit/constants.py"].replace("OFFSET", "SHIFT"),
        helper=TREE["favit/helper.py"].replace("OFFSET", "SHIFT"),
    )
    assert renamed.digest == before.digest
    head, base = TREE["favit/helper.py"].split("class Base:")
    written(tree, {"favit/bases.py": "class Base:" + base.partition("class Unreached")[0]})
    moved = code(
        tree,
        helper=head,
        root=TREE["favit/root.py"].replace("scaled, Base", "scaled\nfrom favit.bases import Base"),
    )
    assert moved.digest == before.digest
    assert differing(before, moved) == {}


def test_differences_are_named(tree: Path) -> None:
    changed = edited(tree, "helper", "x + OFFSET", "x - OFFSET")
    assert differing(code(tree), changed) == {"favit.helper": ["shifted"]}
    assert "favit.helper" in code(tree).definitions()


WHOLE = """import json
import numpy
from favit.helper import shifted
print("effect", file=None)
def used(x):
    return shifted(x)
"""


def test_imports_are_named_where_nothing_else_differs(tree: Path) -> None:
    """In a file that counts whole, where the order of imports counts."""
    root = TREE["favit/root.py"] + "\nfrom favit.whole import used\nrun = used\n"

    def of(whole: str) -> Code:
        written(tree, {"favit/whole.py": ""})
        return code(tree, root=root, whole=whole)

    before = of(WHOLE)
    assert "favit.whole" in before.whole
    added = of(WHOLE.replace("import json", "import json\nimport math").replace("(x)\n", "(x) + math.pi\n"))
    assert differing(before, added) == {"favit.whole": ["used"]}
    turned = of("import torch\n" + WHOLE)
    assert differing(before, turned) == {"favit.whole": ["imports"]}
    first, second, *others = WHOLE.splitlines(keepends=True)
    assert differing(before, of("".join([second, first, *others]))) == {"favit.whole": ["imports"]}


def test_two_variables_that_begin_alike_stay_two(tree: Path) -> None:
    one = "A = {}\nB = {}\ndef put(x):\n    A[x] = 1\ndef get(x):\n    return A[x]\n"
    root = "from favit.helper import put, get\ndef run(x):\n    put(x)\n    return get(x)\n"
    assert (
        code(tree, helper=one, root=root).digest
        != code(tree, helper=one.replace("return A", "return B"), root=root).digest
    )


PART = """
from dataclasses import dataclass, fields
import collections

N = 1

def build():
    return N

def check():
    return 1

class Unread:
    pass

def values(config):
    return [getattr(config, f.name) for f in fields(config)]

def known(name):
    return hasattr(collections.abc, name)
"""
BUILDS = """
from importlib import import_module

def run(name):
    return import_module("favit." + name).build()
"""


def test_of_a_part_that_is_loaded_by_name_counts_what_is_read_of_it(tmp_path: Path) -> None:
    """Where nothing looks up what nobody knows: the fields of a dataclass and another package are known."""
    using = BUILDS.replace(".build()", ".build(), values, known")
    using = "from favit.helper import values, known\n" + using
    tree = written(
        tmp_path,
        {
            "favit/__init__.py": "",
            "favit/root.py": using,
            "favit/helper.py": PART.replace("build", "other"),
            "favit/part.py": PART,
        },
    )
    roots = ("favit.root", "favit.part")
    before = code(tree, *roots).digest
    for old, new in (
        ("    return 1", "    return 2"),
        ("class Unread:\n    pass", "class Unread:\n    n = 1"),
    ):
        assert PART.count(old) == 1
        assert code(tree, *roots, part=PART.replace(old, new)).digest == before
        assert code(tree, "favit.part", part=PART.replace(old, new)).digest != code(tree, "favit.part").digest
    assert code(tree, *roots, part=PART.replace("N = 1", "N = 2")).digest != before
    assert code(tree, *roots, part=PART.replace("return N", "return -N")).digest != before
