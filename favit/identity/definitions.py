"""The code of a run by definition: all that can be reached from its roots, as a digest that knows no paths.

``Sources(folder).code(roots)`` reads a checkout or a snapshot (a folder that holds ``favit/``) and returns a ``Code``:

* ``code.digest``: equal for two trees exactly where their definitions are, whatever modules these stand in;
* ``code.reached``: the definitions, each with its module, qualified name, canonical text and a digest of that;
* ``code.definitions()``: their short digests by module and name, as results record them.

``differing(old, new)`` names the definitions that differ between two codes.

Definitions are followed through the names that they use. A text refers to what it names by a number, given in the
order in which definitions are met from the roots, so that the whole is one description of a graph: equal texts are
equal graphs, two variables that begin with the same value stay two, and neither cycles nor paths matter. Roots are
modules that a run loads by name: all that they define under public names counts, and what is private only where it is
reached. Modules that are not provable (see ``favit.identity.facts``) count whole. What importing does is part of the
code, too: the sequence of statements with effects and of imports of other packages, in the order in which Python
would run them, and for each definition how many of these came before it.

What this cannot see: code outside ``favit``, files that are read, and modules whose names are made at run time and
are no roots.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.disk.cache import Cache
from favit.identity import facts as analysis
from favit.identity.closure import ROOT, Reader
from favit.identity.digests import DIGITS
from favit.identity.linking import Linker, Statement
from favit.sweeps.config import ConfigError

_ANALYSER = (
    "canonical",
    "closure",
    "definitions",
    "facts",
    "expressions",
    "linking",
    "looks",
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
    """What can be reached from ``roots``.

    ``whole`` are the modules that count whole, each with the reason why; ``loaded`` all modules that are imported.
    """

    roots: tuple[str, ...]
    digest: str
    reached: tuple[Definition, ...]
    whole: dict[str, str]
    loaded: tuple[str, ...]

    def definitions(self) -> dict[str, dict[str, str]]:
        """Digests of all definitions, methods apart, by module: enough to say later what was changed."""
        found: dict[str, dict[str, str]] = {}
        for definition in self.reached:
            names = found.setdefault(definition.module, {})
            names[definition.name] = definition.digest
            names.update({name: _short(text) for name, text in definition.methods})
        return found


class Sources:
    """The source files below ``root``; ``cache`` remembers what each holds, by content, and may be deleted."""

    def __init__(self, root: Path = ROOT, cache: Path | None = None) -> None:
        self.root = root
        self._files = Reader(root=root)
        self._cache = Cache(cache, made_by=analyser())
        self._facts: dict[str, dict[str, Any] | None] = {}
        self._texts: dict[str, bytes] = {}
        self._codes: dict[tuple[str, ...], Code] = {}

    def code(self, roots: Iterable[str]) -> Code:
        """The code that is reached from these modules, in their order. ``ConfigError`` for what does not parse."""
        roots = tuple(roots)
        if roots not in self._codes:
            linker = Linker(self, [name for name in roots if self.exists(name)])
            digest = hashlib.sha256(linker.text().encode()).hexdigest()[:DIGITS]
            reached = tuple(
                Definition(s.module, s.label, s.spelt(), s.methods()) for s in linker.statements()
            )
            self._codes[roots] = Code(roots, digest, reached, linker.whole_modules(), linker.loaded_modules())
        return self._codes[roots]

    def facts(self, module: str) -> dict[str, Any] | None:
        """What a module holds; None for a folder without ``__init__.py`` and for what does not exist."""
        if module not in self._facts:
            self._facts[module] = self._analysed(module)
        return self._facts[module]

    def exists(self, module: str) -> bool:
        """Whether it is a module, a package or a folder of modules."""
        return self._files.file_of(module) is not None or (self.root / module.replace(".", "/")).is_dir()

    def replace(self, module: str, source: str) -> None:
        """Look at a module as if its file held ``source``: what a change of it would do."""
        self._texts[module] = source.encode()
        self._facts.pop(module, None)
        self._codes.clear()

    def restore(self, module: str) -> None:
        """Look at a module's own file again."""
        self._texts.pop(module, None)
        self._facts.pop(module, None)
        self._codes.clear()

    def save(self) -> None:
        """Keep what was analysed for the next time."""
        self._cache.save()

    def _analysed(self, module: str) -> dict[str, Any] | None:
        path = self._files.file_of(module)
        if path is None:
            return None
        source = self._texts.get(module) or path.read_bytes()
        key = f"{module}:{hashlib.sha256(source).hexdigest()}"
        found: dict[str, Any] | None = self._cache.get(key)
        if found is None:
            try:
                found = analysis.analyse(source.decode("utf-8-sig"), module, path.name == "__init__.py")
            except SyntaxError as error:
                raise ConfigError(f"{path}, line {error.lineno}: {error.msg}") from None
            self._cache[key] = found
        return found


def differing(old: Code, new: Code) -> dict[str, list[str]]:
    """Module -> names of definitions that one of two codes has and the other has not, or has otherwise.

    A definition that has only moved to another module is none of them.
    """
    before, after = old.definitions(), new.definitions()
    moved = {(name, digest) for names in before.values() for name, digest in names.items()} & {
        (name, digest) for names in after.values() for name, digest in names.items()
    }
    found: dict[str, list[str]] = {}
    for module in sorted({*before, *after}):
        then, now = before.get(module, {}), after.get(module, {})
        names = [
            n
            for n in dict.fromkeys([*then, *now])
            if then.get(n) != now.get(n)
            and not all((n, d) in moved for d in (then.get(n), now.get(n)) if d is not None)
        ]
        if names:
            found[module] = names
    return found


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


__all__ = ["Code", "Definition", "Sources", "Statement", "analyser", "differing"]
