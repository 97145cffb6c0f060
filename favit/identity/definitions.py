"""The code of a run by definition: all that can be reached from its roots, as a digest that knows no paths.

``Sources(folder).code(roots)`` reads a checkout or a snapshot (a folder that holds ``favit/``) and returns a ``Code``:

* ``code.digest``: equal for two trees exactly where their definitions are, whatever modules these stand in;
* ``code.reached``: the definitions, each with its module, qualified name, canonical text and a digest of that;
* ``code.definitions()``: their short digests by module and name, as results record them.

``differing(old, new)`` names the definitions that differ between two codes.

Definitions are followed through the names that they use. A text refers to what it names by a number, given in the
order in which definitions are met from the roots, so that the whole is one description of a graph: equal texts are
equal graphs, two variables that begin with the same value stay two, and neither cycles nor paths matter. The first
root is where a program begins: all that it defines under public names counts, and what is private only where it is
reached. The others are modules that a run loads by name. Of their functions and classes those count that some reached
code may read of a module: it names such an attribute, or looks up names that are made at run time. Modules that are not
provable (see ``favit.identity.facts``) count whole. What importing does is part of the code, too: the sequence of
statements with effects and of imports of other packages, in the order in which Python would run them, and for each
definition how many of these came before it.

What this cannot see: code outside ``favit``, files that are read, and modules whose names are made at run time and
are no roots.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from favit.disk.cache import Cache
from favit.identity import facts as analysis
from favit.identity.closure import ROOT, Reader
from favit.identity.digests import DIGITS
from favit.identity.linking import Linker
from favit.identity.names import Facts
from favit.sweeps.errors import ConfigError

IMPORTS = analysis.IMPORTS

_ANALYSER = (
    "canonical",
    "closure",
    "definitions",
    "facts",
    "expressions",
    "handlers",
    "importing",
    "instances",
    "linking",
    "looks",
    "names",
    "pieces",
    "purity",
    "scopes",
    "syntax",
)


@functools.cache
def analyser() -> str:
    """The digest of the analyser's own source: what was digested by another one is digested again."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / f"{name}.py").read_bytes() for name in _ANALYSER)).hexdigest()[
        :DIGITS
    ]


@dataclass(frozen=True)
class Definition:
    """A definition that a run can reach: a function, a class, a constant, or a statement with effects.

    ``text`` is canonical, with what it names spelt by its name; ``methods`` holds those of a class by name.
    """

    module: str
    name: str
    text: str
    methods: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of the text's SHA-256."""
        return _short(self.text)


@dataclass(frozen=True)
class Code:
    """The code that can be reached from ``roots``.

    ``whole`` are the modules that count whole, each with the reason why; ``loaded`` all modules that are imported.
    """

    roots: tuple[str, ...]
    digest: str
    whole: Mapping[str, str]
    loaded: tuple[str, ...]
    names: Mapping[str, Mapping[str, str]]
    link: Callable[[], Linker] = field(repr=False, compare=False)

    @cached_property
    def reached(self) -> tuple[Definition, ...]:
        """The definitions, by module, in the order of the files."""
        return _reached(self.link())

    def definitions(self) -> dict[str, dict[str, str]]:
        """Digests of all definitions, methods apart, by module: enough to say later what was changed."""
        return {module: dict(names) for module, names in self.names.items()}


class Sources:
    """The source files below ``root``; ``cache`` remembers codes as long as their files last, and may be deleted."""

    def __init__(self, root: Path = ROOT, cache: Path | None = None) -> None:
        self.root = root
        self._files = Reader(root=root)
        self._cache = Cache(cache, made_by=analyser())
        self._texts: dict[str, bytes] = {}
        self._begin()

    def code(self, roots: Iterable[str], kept: frozenset[str] | None = None) -> Code:
        """The code that is reached from these modules, in their order. ``ConfigError`` for what does not parse.

        ``kept`` are the only modules that are there for it, as in a snapshot: any other cannot be imported.
        """
        roots = tuple(roots)
        view = _View(self, kept)
        if (roots, kept) not in self._codes:
            known = None if self._texts else self._cache.get(_key(roots))
            if known is None or any(view.state(m) != state for m, state in known["asked"].items()):
                known = self._linked(roots, view)
            self._codes[roots, kept] = Code(
                roots,
                known["digest"],
                known["whole"],
                tuple(known["loaded"]),
                known["names"],
                lambda: Linker(_View(self, kept), list(roots)),
            )
        return self._codes[roots, kept]

    def linker(self, roots: Iterable[str], like: Linker | None = None) -> Linker:
        """The linker of ``code``, computed again."""
        return Linker(_View(self, None), list(roots), like)

    def replace(self, module: str, source: str) -> None:
        """Look at a module as if its file held ``source``: what a change of it would do."""
        self._texts[module] = source.encode()
        self._forget(module)

    def restore(self, module: str) -> None:
        """Look at a module's own file again."""
        self._texts.pop(module, None)
        self._forget(module)

    def save(self) -> None:
        """Keep what was learnt for the next time."""
        self._cache.save()

    def content(self, module: str) -> bytes | None:
        """The source of a module; None for a folder without ``__init__.py`` and for what does not exist."""
        if module not in self._contents:
            path = self._files.file_of(module)
            self._contents[module] = None if path is None else self._texts.get(module, path.read_bytes())
        return self._contents[module]

    def is_package(self, module: str) -> bool:
        """Whether the source of a module is an ``__init__.py``."""
        path = self._files.file_of(module)
        return path is not None and path.name == "__init__.py"

    def is_folder(self, module: str) -> bool:
        """Whether there is a folder of modules of that name."""
        return (self.root / module.replace(".", "/")).is_dir()

    def facts(self, module: str) -> Facts | None:
        """The facts of a module; None if it has no file."""
        if module not in self._facts:
            source, path = self.content(module), self._files.file_of(module)
            try:
                self._facts[module] = (
                    None
                    if source is None or path is None
                    else _analysed(source, module, path.name == "__init__.py")
                )
            except SyntaxError as error:
                raise ConfigError(f"{path}, line {error.lineno}: {error.msg}") from None
        return self._facts[module]

    def _begin(self) -> None:
        self._contents: dict[str, bytes | None] = {}
        self._facts: dict[str, Facts | None] = {}
        self._codes: dict[tuple[tuple[str, ...], frozenset[str] | None], Code] = {}

    def _forget(self, module: str) -> None:
        self._contents.pop(module, None)
        self._facts.pop(module, None)
        self._codes.clear()

    def _linked(self, roots: tuple[str, ...], view: _View) -> dict[str, Any]:
        linker = Linker(view, list(roots))
        found = {
            "digest": hashlib.sha256(linker.text().encode()).hexdigest()[:DIGITS],
            "whole": linker.whole_modules(),
            "loaded": list(linker.loaded_modules()),
            "names": _names(_reached(linker)),
            "asked": {module: view.state(module) for module in sorted(view.asked)},
        }
        if not self._texts:
            self._cache[_key(roots)] = found
        return found


class _View:
    """The modules of ``sources`` that are kept, as a linker asks for them; remembers which were asked for."""

    def __init__(self, sources: Sources, kept: frozenset[str] | None) -> None:
        self._sources, self._kept = sources, kept
        self.asked: set[str] = set()
        self._facts: dict[str, Facts | None] = {}
        self._exists: dict[str, bool] = {}

    def facts(self, module: str) -> Facts | None:
        """What a module holds, None if it has no file."""
        if module not in self._facts:
            self.asked.add(module)
            self._facts[module] = self._sources.facts(module) if self._is_kept(module) else None
        return self._facts[module]

    def exists(self, module: str) -> bool:
        """Whether it is a module, a package or a folder of modules."""
        if module not in self._exists:
            self.asked.add(module)
            self._exists[module] = self.state(module) != ""
        return self._exists[module]

    def state(self, module: str) -> str:
        """The digest of a module's content; ``folder`` for a folder without, empty for what does not exist."""
        content = self._sources.content(module) if self._is_kept(module) else None
        if content is not None:  # a package's relative imports begin one level lower
            return hashlib.sha256(content).hexdigest() + "/" * self._sources.is_package(module)
        holds_any = self._kept is None or any(name.startswith(f"{module}.") for name in self._kept)
        return "folder" if holds_any and self._sources.is_folder(module) else ""

    def _is_kept(self, module: str) -> bool:
        return self._kept is None or module in self._kept


@functools.lru_cache(maxsize=4096)
def _analysed(source: bytes, module: str, is_package: bool) -> Facts:
    return analysis.analyse(source.decode("utf-8-sig"), module, is_package)


def _reached(linker: Linker) -> tuple[Definition, ...]:
    return tuple(Definition(s.module, s.label, s.spelt(), s.methods()) for s in linker.statements())


def _names(reached: Iterable[Definition]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for definition in reached:
        names = found.setdefault(definition.module, {})
        known = names.get(definition.name, "")  # imports and other statements of a file go by one name
        names[definition.name] = _short(known + definition.text) if known else definition.digest
        names.update({name: _short(text) for name, text in definition.methods})
    return found


def _key(roots: tuple[str, ...]) -> str:
    return " ".join(roots)


def differing(old: Code, new: Code) -> dict[str, list[str]]:
    """Module -> names of definitions that one of two codes has and the other has not, or has otherwise.

    A definition that has only moved to another module is none of them.
    """
    return differing_names(old.names, new.names)


def differing_names(
    old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """The names of definitions that differ, for definitions as results record them: module -> name -> digest.

    Imports are named where nothing else differs: else they differ for what they bring along.
    """
    before, after = ({(n, d) for names in code.values() for n, d in names.items()} for code in (old, new))
    moved = before & after
    found: dict[str, list[str]] = {}
    for module in sorted({*old, *new}):
        then, now = old.get(module, {}), new.get(module, {})
        for name in dict.fromkeys([*now, *then]):
            sides = {(name, names[name]) for names in (then, now) if name in names}
            if then.get(name) != now.get(name) and not sides <= moved:
                found.setdefault(module, []).append(name)
    others = {m: [n for n in names if n != IMPORTS] for m, names in found.items()}
    return {m: names for m, names in others.items() if names} or found


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


__all__ = ["Code", "Definition", "Sources", "analyser", "differing", "differing_names"]
