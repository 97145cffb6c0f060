# ruff: noqa: E501 - a program a line
"""More of `traps.py`: definitions that do more than define, and modules that are loaded by names made at run time."""

from __future__ import annotations

from tests.identity.traps import CALL, Case, case

FIND = "from favit.base import R\nimport favit.b\ndef f(x):\n    return [k.x for k in R]\n"
UNDO = FIND + "import collections\ndel collections.UserDict.__init_subclass__\n"
KEPT = "R = []\nclass Base:\n    def __init_subclass__(cls):\n        R.append(cls)\n"
OBJECT = "R = []\nclass D:\n    def __set_name__(self, owner, name):\n        R.append(owner)\nd = D()\n"


def told(what: str, base: str, b: str, a: str = FIND, **more: str) -> Case:
    """A case in which ``b`` defines a class that nothing names, but which is found in a list of ``base``."""
    return case(what, "b", "x = 1", "x = 2", root=CALL, a=a, base=base, b=b, **more)


def loaded(what: str, by: str, above: str = "") -> Case:
    """A case in which ``by`` imports ``favit._b``, of which a module that was imported before is otherwise unread."""
    a = f"import importlib\nfrom favit._b import N\n{above}\ndef f(x):\n    return {by}.g()\n"
    return case(
        f"loaded by {what}",
        "_b",
        "return 1",
        "return 2",
        root=CALL,
        a=a,
        _b="N = 0\ndef g():\n    return 1\n",
    )


def taken(what: str, a: str) -> Case:
    """A case in which what looks like a block for type checkers is executed."""
    return case(
        what, "a", "N = 1", "N = 2", root=CALL, a=a + "def f(x):\n    return N\n", b="TYPE_CHECKING = True\n"
    )


TRAPS: list[Case] = [
    # -- classes and values that are told of others
    told("a registry two classes and two files up", KEPT, "from favit.c import Mid\nclass B(Mid):\n    x = 1\n",
         c="from favit.base import Base\nclass Mid(Base):\n    x = 0\n"),
    told("an __init_subclass__ that is assigned", "R = []\ndef keep(cls):\n    R.append(cls)\nclass Base:\n    __init_subclass__ = keep\n",
         "from favit.base import Base\nclass B(Base):\n    x = 1\n"),
    told("an __init_subclass__ set of another package's class",
         "import collections\nR = []\ndef keep(cls, **more):\n    R.append(cls)\ncollections.UserDict.__init_subclass__ = classmethod(keep)\n",
         "import collections\nclass B(collections.UserDict):\n    x = 1\n", UNDO),
    told("an __init_subclass__ set by setattr",
         "import collections\nR = []\ndef keep(cls, **more):\n    R.append(cls)\nsetattr(collections.UserDict, '__init_subclass__', classmethod(keep))\n",
         "import collections\nclass B(collections.UserDict):\n    x = 1\n", UNDO),
    told("an object that is told the class that holds it", OBJECT, "from favit.base import d\nclass B:\n    x = 1\n    y = d\n"),
    told("such an object, by its module", OBJECT, "from favit import base\nclass B:\n    x = 1\n    y = base.d\n"),
    told("such an object under another name", OBJECT, "from favit.c import e\nclass B:\n    x = 1\n    y: object = e\n",
         c="from favit.base import d\ne = d\n"),
    told("such an object under a name of the file", OBJECT, "from favit.base import d\ne = d\nclass B:\n    x = 1\n    y = e\n"),
    case("an enumeration that makes its members", "b", "X = 1", "X = 2", root=CALL,
         a="from favit.base import R\nimport favit.b\ndef f(x):\n    return list(R)\n", base="R = []\n",
         b="import enum\nfrom favit.base import R\nclass B(enum.Enum):\n    X = 1\n    def __init__(self, value):\n        R.append(value)\n"),
    case("an enumeration of a kind that makes its members", "b", "X = 1", "X = 2", root=CALL,
         a="from favit.base import R\nimport favit.b\ndef f(x):\n    return list(R)\n",
         base="import enum\nR = []\nclass Kind(enum.Enum):\n    def __init__(self, value):\n        R.append(value)\n",
         b="from favit.base import Kind\nclass B(Kind):\n    X = 1\n"),
    case("an enumeration mixed with what makes its members", "b", "X = 1", "X = 2", root=CALL,
         a="from favit.base import R\nimport favit.b\ndef f(x):\n    return list(R)\n",
         base="R = []\nclass Part:\n    def __init__(self, value):\n        R.append(value)\n",
         b="import enum\nfrom favit.base import Part\nclass B(Part, enum.Enum):\n    X = 1\n"),
    case("a decorator of another package that is replaced", "b", "return 1", "return 2", root=CALL,
         a="from favit.base import R, restore\nimport favit.b\nrestore()\ndef f(x):\n    return [g() for g in R]\n",
         base="import contextlib\nR, whole = [], contextlib.contextmanager\ndef keep(g):\n    R.append(g)\n    return g\n"
              "contextlib.contextmanager = keep\ndef restore():\n    contextlib.contextmanager = whole\n",
         b="import contextlib, favit.base\n@contextlib.contextmanager\ndef g():\n    return 1\n"),
    case("an annotation with an effect", "b", "put(1)", "put(2)", root=CALL,
         a="from favit.base import R\nimport favit.b\ndef f(x):\n    return list(R)\n", base="R = []\ndef put(x):\n    R.append(x)\n",
         b="from favit.base import put\ndef g(x: put(1)):\n    pass\n"),
    case("an annotation of a name with an effect", "b", "put(1)", "put(2)", root=CALL,
         a="from favit.base import R\nimport favit.b\ndef f(x):\n    return list(R)\n", base="R = []\ndef put(x):\n    R.append(x)\n",
         b="from favit.base import put\nN: put(1) = 3\n"),
    case("an annotation with an effect in a function", "a", "R.append(1)", "R.append(2)", root=CALL,
         a="R = []\ndef f(x):\n    def g(y: R.append(1)):\n        pass\n    return list(R)\n"),
    # -- modules by names made at run time
    loaded("a sum", "importlib.import_module('favit.' + '_b')"),
    loaded("a constant", "importlib.import_module(NAME)", "NAME = 'favit._b'"),
    loaded("a format", "importlib.import_module('favit.{}'.format('_b'))"),
    loaded("a percent sign", "importlib.import_module('favit.%s' % '_b')"),
    loaded("the end of a name", "importlib.import_module(f'favit._{NAME}')", "NAME = 'b'"),
    loaded("two parts", "importlib.import_module(f'{NAME}.{REST}')", "NAME, REST = 'favit', '_b'"),
    loaded("a keyword", "importlib.import_module(name=NAME)", "NAME = 'favit._b'"),
    loaded("a mapping", "importlib.import_module(**NAME)", "NAME = {'name': 'favit._b'}"),
    loaded("__import__", "__import__(NAME, fromlist=['g'])", "NAME = 'favit._b'"),
    loaded("its specification", "load(importlib.util.find_spec(NAME))",
           "import importlib.util\nNAME = 'favit._b'\ndef load(spec):\n    m = importlib.util.module_from_spec(spec)\n"
           "    spec.loader.exec_module(m)\n    return m"),
    case("loaded by a package of another folder", "k/_b", "return 1", "return 2", root=CALL,
         **{"k/__init__": "", "k/_b": "N = 0\ndef g():\n    return 1\n"},
         a="import importlib\nfrom favit.k._b import N\ndef f(x):\n    return importlib.import_module('._b', 'favit.k').g()\n"),
    case("executed by its name", "_b", "M = 1", "M = 2", root=CALL, _b="N = 0\nM = 1\n",
         a="import runpy\nfrom favit._b import N\nNAME = 'favit._b'\ndef f(x):\n    return runpy.run_module(NAME)['M']\n"),
    # -- blocks for type checkers
    taken("a TYPE_CHECKING of one's own", "TYPE_CHECKING = True\nif TYPE_CHECKING:\n    N = 1\n"),
    taken("a TYPE_CHECKING of another file", "from favit.b import TYPE_CHECKING\nif TYPE_CHECKING:\n    N = 1\n"),
    taken("a TYPE_CHECKING of everything of another file", "from favit.b import *\nif TYPE_CHECKING:\n    N = 1\n"),
    taken("a typing of one's own", "from favit import b as typing\nif typing.TYPE_CHECKING:\n    N = 1\n"),
    taken("a TYPE_CHECKING that is bound again", "from typing import TYPE_CHECKING\nTYPE_CHECKING = 1\nif TYPE_CHECKING:\n    N = 1\n"),
]  # fmt: skip
