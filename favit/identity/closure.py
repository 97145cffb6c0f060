"""The code that a run would execute: static import closures, digested.

A closure is followed through ``favit`` only, by ``import`` statements anywhere
in a module, from the modules that a run's names point to. Components looked up
by name at run time (``registry.load``) are thereby left out unless named.

A module's digest is taken over its syntax tree without comments, docstrings and
layout. The tree is written down in a form of our own, because ``ast.dump`` and
``ast.unparse`` differ between Python versions and a result must not.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from favit.components import own
from favit.disk.cache import Cache
from favit.identity.digests import DIGITS, short_digest
from favit.sweeps.errors import ConfigError

ROOT = Path(__file__).parents[2]
_PACKAGE = "favit"
_OF_TYPING = (("typing", "TYPE_CHECKING"), ("typing_extensions", "TYPE_CHECKING"))
_OWN_SOURCE = Path(__file__).read_bytes()  # a cached analysis is only as good as the code that made it


@dataclass(frozen=True)
class Module:
    """What one source file contributes: its digest, those of its definitions, and what it imports."""

    digest: str
    definitions: dict[str, str]
    imports: tuple[str, ...]
    outside: tuple[str, ...]


@dataclass(frozen=True)
class Closure:
    """The modules of ``favit`` that are reached from ``roots``, by name, and the other packages that they import."""

    roots: tuple[str, ...]
    modules: dict[str, Module]

    @functools.cached_property
    def digest(self) -> str:
        """The digest of the roots, and of all modules' names and digests."""
        return short_digest([self.roots, {name: module.digest for name, module in self.modules.items()}])

    @functools.cached_property
    def outside(self) -> frozenset[str]:
        """Top-level names of the other packages imported anywhere in the closure."""
        return frozenset(name for module in self.modules.values() for name in module.outside)

    def definitions(self) -> dict[str, dict[str, str]]:
        """Digests of all definitions, by module: enough to say later what was changed."""
        return {name: dict(module.definitions) for name, module in self.modules.items()}


class Reader:
    """Reads modules below ``root``; remembers each file's analysis under its content's digest.

    ``cache`` is a JSON file that may be deleted at any time.
    """

    def __init__(self, root: Path = ROOT, cache: Path | None = None) -> None:
        self.root = root
        self._cache = Cache(cache)
        self._modules: dict[str, Module] = {}

    def closure(self, roots: Iterable[str]) -> Closure:
        """The import closure of dotted module names, packages' ``__init__`` included."""
        roots = tuple(roots)
        found: dict[str, Module] = {}
        waiting = [name for root in roots for name in _with_parents(root) if self.file_of(name)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self.module(name)
                waiting.extend(found[name].imports)
        return Closure(roots, dict(sorted(found.items())))

    def module(self, name: str) -> Module:
        """One module's analysis."""
        if name not in self._modules:
            self._modules[name] = self._analysed(name)
        return self._modules[name]

    def file_of(self, name: str) -> Path | None:
        """The file of a dotted name, None if there is none."""
        path = self.root.joinpath(*name.split("."))
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
        return own.file_of(name) if self.root == ROOT else None  # a snapshot holds them itself

    def save(self) -> None:
        """Keep what was analysed for the next time."""
        self._cache.save()

    def _analysed(self, name: str) -> Module:
        path = self.file_of(name)
        assert path is not None, name
        source = path.read_bytes()
        is_package = path.name == "__init__.py"
        key = f"{name}{'/' * is_package}:{hashlib.sha256(_OWN_SOURCE + source).hexdigest()}"
        facts = self._cache.get(key)
        if facts is None:
            try:
                facts = asdict(analyse(source.decode("utf-8-sig"), name, is_package))
            except SyntaxError as error:
                raise ConfigError(f"{path}, line {error.lineno}: {error.msg}") from None
            self._cache[key] = facts
        # What an import names may be a module or something defined in one: only the files can tell.
        imports = {
            p for i in facts["imports"] if self.file_of(i) for p in _with_parents(i) if self.file_of(p)
        }
        return Module(facts["digest"], facts["definitions"], tuple(sorted(imports)), tuple(facts["outside"]))


@functools.lru_cache(maxsize=4096)
def analyse(source: str, name: str, is_package: bool = False) -> Module:
    """Digest a module's source. ``imports`` may still hold names of things that are no modules."""
    tree = ast.parse(source)
    imported = set(_imported(tree, name if is_package else name.rpartition(".")[0]))
    inside = {i for i in imported if i.split(".")[0] == _PACKAGE}
    return Module(
        digest=_tree_digest(tree.body),
        definitions={label: _tree_digest(nodes)[:8] for label, nodes in _definitions(tree).items()},
        imports=tuple(sorted(inside)),
        outside=tuple(sorted({i.split(".")[0] for i in imported - inside})),
    )


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    never = for_checkers(tree) if any(isinstance(n, ast.If) and condition(n) for n in ast.walk(tree)) else ()
    for node in _executed(tree, never):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _executed(node: ast.AST, never: Container[str]) -> Iterator[ast.AST]:
    """All nodes but those under a condition of ``never``."""
    yield node
    skipped = isinstance(node, ast.If) and condition(node) in never
    for child in node.orelse if skipped else ast.iter_child_nodes(node):  # type: ignore[attr-defined]
        yield from _executed(child, never)


def for_checkers(tree: ast.AST) -> frozenset[str]:
    """The conditions that are true for type checkers alone: ``TYPE_CHECKING``, where it can only be that of typing."""
    bound: dict[str, set[bool]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                bound.setdefault(name.asname or name.name.partition(".")[0], set()).add(name.name == "typing")
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                bound.setdefault(name.asname or name.name, set()).add((node.module, name.name) in _OF_TYPING)
        elif isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            bound.setdefault(node.id if isinstance(node, ast.Name) else node.attr, set()).add(False)
    if "*" in bound or False in bound.get("TYPE_CHECKING", ()):
        return frozenset()
    heads = {"TYPE_CHECKING": "TYPE_CHECKING", "typing.TYPE_CHECKING": "typing"}
    return frozenset(text for text, head in heads.items() if bound.get(head) == {True})


def condition(node: ast.If) -> str:
    """The test of a statement, if it may be one for type checkers alone; else empty."""
    text = ast.unparse(node.test) if isinstance(node.test, ast.Name | ast.Attribute) else ""
    return text if text in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else ""


def _definitions(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """Top-level statements by the name that a person would use: function, Class.method, CONSTANT."""
    found: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            methods = [m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)]
            for method in methods:
                found.setdefault(f"{node.name}.{method.name}", []).append(method)
            rest = [s for s in node.body if s not in methods]
            frame = ast.ClassDef(node.name, node.bases, node.keywords, rest, node.decorator_list)
            found.setdefault(node.name, []).append(frame)
        else:
            found.setdefault(_label(node), []).append(node)
    return {label: nodes for label, nodes in found.items() if not all(without_effect(n) for n in nodes)}


def _label(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "imports"
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    names = [t.id for t in targets if isinstance(t, ast.Name)]
    return names[0] if names else "module level"


def _tree_digest(nodes: list[ast.stmt]) -> str:
    hasher = hashlib.sha256()
    _write(nodes, hasher.update)
    return hasher.hexdigest()[:DIGITS]


def _write(value: Any, write: Any) -> None:
    """Write a tree unambiguously, leaving out what has no effect and what is empty.

    Fields that are empty are skipped because newer Pythons add such fields to old nodes.
    """
    if isinstance(value, list):
        write(b"[")
        for item in value:
            if not without_effect(item):
                _write(item, write)
        write(b"]")
    elif isinstance(value, ast.AST):
        write(f"({type(value).__name__}".encode())
        for field in sorted(value._fields):
            child = getattr(value, field, None)
            if child is None and not isinstance(value, ast.Constant):
                continue
            if isinstance(
                value, ast.JoinedStr
            ):  # Python 3.12.0 and 3.12.1 put empty texts into format specifications
                child = [
                    part for part in child or [] if not (isinstance(part, ast.Constant) and part.value == "")
                ]
            if child == [] or field in ("kind", "type_comment"):
                continue
            write(f" {field}=".encode())
            _write(child, write)
        write(b")")
    else:
        write(f"{type(value).__name__}:{value!r};".encode())


def without_effect(node: Any) -> bool:
    """A docstring, another bare text, or ``pass``."""
    if isinstance(node, ast.Pass):
        return True
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
