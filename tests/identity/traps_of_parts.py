# ruff: noqa: E501 - a program a line
"""More of `traps.py`: a part that is loaded by a name made at run time, and read in ways that names do not tell.

``favit/part.py`` is the second root. What it defines counts where the code that is reached may come upon it.
"""

from __future__ import annotations

from tests.identity.traps import Case

FUNCTION = "def g():\n    return 1\n"
CLASS = "class C:\n    def g(self):\n        return 1\n"
VALUE = "class C:\n    n = 1\n"


def read(what: str, by: str, part: str = FUNCTION, old: str = "1", new: str = "2", above: str = "") -> Case:
    """A case in which ``run`` returns ``by``, an expression with the part ``p`` in it."""
    root = (
        f"import importlib\n{above}\ndef load(name):\n    return importlib.import_module('favit.' + name)\n"
        f"def run():\n    p = load('part')\n    return {by}\n"
    )
    return f"a part: {what}", {"root": root, "part": part}, "part", old, new


G = "chr(103)"  # "g", which stands nowhere

PARTS: list[Case] = [
    read("a call", "p.g()"),
    read("a function as a value", "[k() for k in (p.g,)]"),
    read("a class", "p.C().g()", CLASS),
    read("a base of a class", "p.C().g()", "class B:\n    def g(self):\n        return 1\nclass C(B):\n    pass\n"),
    read("what its functions call", "p.g()", "def h():\n    return 1\ndef g():\n    return h()\n"),
    read("what another part of it imports", "p.h()", FUNCTION + "from favit import part as here\ndef h():\n    return here.g()\n"),
    read("a constant", "p.N", "N = 1\n"),
    read("a constant that calls", "p.N[0]()", FUNCTION + "N = (g,)\n"),
    read("getattr", f"getattr(p, {G})()"),
    read("getattr of a text", "getattr(p, 'g')()"),
    read("getattr under another name", f"look(p, {G})()", above="look = getattr"),
    read("getattr in a table", f"T[0](p, {G})()", above="T = [getattr]"),
    read("getattr by map", f"[k() for k in map(getattr, [p], [{G}])]"),
    read("getattr by partial", f"partial(getattr, p)({G})()", above="from functools import partial"),
    read("getattr of builtins", f"builtins.getattr(p, {G})()", above="import builtins"),
    read("getattr_static", f"inspect.getattr_static(p, {G})()", above="import inspect"),
    read("__getattribute__", f"p.__getattribute__({G})()"),
    read("object's __getattribute__", f"object.__getattribute__(p, {G})()"),
    read("vars", f"vars(p)[{G}]()"),
    read("__dict__", f"p.__dict__[{G}]()"),
    read("dir", "[k for k in dir(p) if k in ('g', 'h')]", old="def g", new="def h"),
    read("hasattr", f"hasattr(p, {G})", old="def g", new="def h"),
    read("attrgetter", "operator.attrgetter('g')(p)()", above="import operator"),
    read("a path of attrgetter", "operator.attrgetter('C.g')(p)(0)", CLASS, above="import operator"),
    read("attrgetter under another name", f"look({G})(p)()", above="import operator\nlook = operator.attrgetter"),
    read("attrgetter imported under another name", f"look({G})(p)()", above="from operator import attrgetter as look"),
    read("methodcaller", "operator.methodcaller('g')(p)", above="import operator"),
    read("methodcaller of a made name", f"operator.methodcaller({G})(p)", above="import operator"),
    read("a format", "'{0.C.n}'.format(p)", VALUE),
    read("a format with a name", "'{p.C.n:>4}'.format(p=p)", VALUE),
    read("a format made at run time", "('{0.' + 'C.n}').format(p)", VALUE),
    read("a format as a value", "list(map(('{0.' + 'C.n}').format, [p]))", VALUE),
    read("a format of a mapping", "('{p.' + 'C.n}').format_map({'p': p})", VALUE),
    read("a formatter", "string.Formatter().format('{0.' + 'C.n}', p)", VALUE, above="import string"),
    read("a pattern", "matched(p)", above="def matched(p):\n    match p:\n        case object(g=h):\n            return h()\n"),
    read("a place in another package", f"hasattr(collections.held, {G})", old="def g", new="def h",
         above="import collections\nimport favit.part\ncollections.held = favit.part"),
    read("a place in another package, set by a function", f"put(p) or hasattr(collections.held, {G})", old="def g", new="def h",
         above="import collections\ndef put(p):\n    collections.held = p"),
    read("a place in another package, by setattr", f"setattr(collections, 'held', p) or hasattr(collections.held, {G})",
         old="def g", new="def h", above="import collections"),
    read("a package's name that is a parameter", f"look(p, {G})", old="def g", new="def h",
         above="import collections\ndef look(collections, name):\n    return hasattr(collections, name)"),
    read("a package's name that is bound again", f"hasattr(collections, {G})", old="def g", new="def h",
         above="import collections\nfrom favit import part as collections"),
    read("a hasattr of one's own", f"hasattr(collections, {G}, p)", old="def g", new="def h",
         above="import collections\ndef hasattr(a, name, p):\n    return name in vars(p)"),
    read("fields of its own kind", "look(p)",
         above="def fields(p):\n    class K:\n        name = chr(103)\n    return [K]\n"
         "def look(p):\n    return [getattr(p, k.name)() for k in fields(p)]"),
    read("fields of something else", "look(p, D())",
         above="from dataclasses import dataclass, fields\n@dataclass\nclass D:\n    g: int = 0\n"
         "def look(p, d):\n    return [getattr(p, k.name)() for k in fields(d)]"),
    read("fields of what then becomes it", "look(D(), p)",
         above="from dataclasses import dataclass, fields\n@dataclass\nclass D:\n    g: int = 0\n"
         "def look(d, p):\n    found = []\n    for k in fields(d):\n        d = p\n        found.append(getattr(d, k.name)())\n    return found"),
    read("another name than a field's", "look(D(), p)",
         above="from dataclasses import dataclass, fields\n@dataclass\nclass D:\n    g: int = 0\n"
         "def look(d, p):\n    for k in fields(d):\n        k = type('K', (), {'name': chr(103)})\n        return [getattr(h, k.name)() for h in [p]]"),
]  # fmt: skip
