"""A component's file as a syntax tree, and what the names in it mean. Nothing is imported or executed."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


class Unreadable(ValueError):
    """A declaration that cannot be read; the message names file, line and what is allowed."""


@dataclass(frozen=True)
class Source:
    """One file below ``favit``."""

    file: Path
    tree: ast.Module
    imported: Mapping[str, str]
    """What imports bind: a name to the dotted name that it stands for."""
    assigned: Mapping[str, ast.expr]
    """What a plain ``NAME = ...`` at the top level binds, the last one of each."""

    def error(self, node: ast.AST, message: str) -> Unreadable:
        """An error that names file and line."""
        return Unreadable(f"{self.file}, line {getattr(node, 'lineno', '?')}: {message}")

    def meaning(self, node: ast.expr) -> str:
        """The dotted name that an expression stands for; empty if it is none."""
        if isinstance(node, ast.Name):
            return "" if node.id in self.assigned else self.imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.meaning(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def definition(self, name: str) -> ast.stmt | None:
        """The last class or function of this name at the top level; ``Unreadable`` for one under a condition."""
        found = [n for n in statements(self.tree) if getattr(n, "name", None) == name]
        if found and found[-1] not in self.tree.body:
            raise self.error(
                found[-1], f"{name} is defined under a condition and cannot be read; put it at the top level"
            )
        return found[-1] if found else None

    def binds(self, name: str) -> bool:
        """Whether the file gives this name a meaning at its top level in any way that can be seen."""
        return name in self.imported or name in self.assigned or self.definition(name) is not None


def exists(*path: str) -> bool:
    """Whether there is a file ``favit/<path>.py``."""
    return file_of(*path).is_file()


def file_of(*path: str) -> Path:
    """Where ``favit/<path>.py`` is."""
    return _PACKAGE.joinpath(*path).with_suffix(".py")


@functools.cache
def source(*path: str) -> Source:
    """``favit/<path>.py``, for instance ``source("aggregators", "probsparse")``."""
    file = file_of(*path)
    try:
        tree = ast.parse(
            file.read_bytes()
        )  # bytes: a mark at the beginning or a coding line says how to read
    except SyntaxError as error:
        raise Unreadable(f"{file}, line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise Unreadable(f"{file}: {error}") from None
    package = ".".join(("favit", *path[:-1]))
    imported: dict[str, str] = {}
    assigned: dict[str, ast.expr] = {}
    for node in statements(tree):
        imported.update(_imports(node, package))
        name, value = assignment(node)
        if name and value is not None:
            assigned[name] = value
    return Source(file, tree, imported, assigned)


def assignment(node: ast.stmt) -> tuple[str, ast.expr | None]:
    """Name and value of ``NAME = value`` or ``NAME: kind = value``; an empty name for all else."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return "", None


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """All statements of a module's or class's top level, those under ``if``, ``try``, ``with`` and loops included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.ExceptHandler):
            yield from statements(node)


def _imports(node: ast.stmt, package: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".")
        above = parts[: len(parts) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            yield alias.asname or alias.name, f"{base}.{alias.name}"
