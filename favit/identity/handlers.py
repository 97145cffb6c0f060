"""What handlers do with the exceptions that they catch: whether the text of an error can matter to what follows."""

from __future__ import annotations

import ast
from typing import NamedTuple


class Handled(NamedTuple):
    """What the handlers in a statement do with their exceptions."""

    reads: bool
    """One looks at its exception, other than to raise it again or to put its text into another error's."""
    into: set[str]
    """The classes of these others, by name: where one of them does more than hold its text, texts are read."""


def handled(node: ast.AST) -> Handled:
    """What the handlers in a statement do with what they catch."""
    handlers = [n for n in ast.walk(node) if isinstance(n, ast.ExceptHandler) and n.name]
    into: set[str] = set()
    reads = [_reads(s, str(handler.name), into) for handler in handlers for s in handler.body]
    return Handled(any(reads) or bool(into & _bound_inside(node)), into)


def _reads(node: ast.AST, name: str, into: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name
    if isinstance(node, ast.Raise):
        error = node.exc
        if isinstance(error, ast.Call) and isinstance(error.func, ast.Name):
            said = [a for a in error.args if _says(a, name) and _names(a, name)]
            if said:
                into.add(error.func.id)  # put into another text, which is looked at where that one is
            rest = [error.func, *(a for a in error.args if a not in said), *error.keywords]
            return any(_reads(a, name, into) for a in rest)
        return not isinstance(error, ast.Name) and error is not None and _reads(error, name, into)
    return any(_reads(child, name, into) for child in ast.iter_child_nodes(node))


def _says(node: ast.AST, name: str) -> bool:
    """``f"... {error}"``, ``f"... {error.msg}"``, ``str(error)``: no more than a text."""
    if isinstance(node, ast.JoinedStr):
        return all(
            isinstance(p, ast.Constant)
            or (isinstance(p, ast.FormattedValue) and (_is_part(p, name) or not _names(p, name)))
            for p in node.values
        )
    call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str"
    return call and all(isinstance(a, ast.Name) for a in node.args)  # type: ignore[attr-defined]


def _is_part(node: ast.FormattedValue, name: str) -> bool:
    """The exception or an attribute of it, as text."""
    value = node.value
    while isinstance(value, ast.Attribute):
        value = value.value
    return isinstance(value, ast.Name) and (node.format_spec is None or not _names(node.format_spec, name))


def _names(node: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def _bound_inside(node: ast.AST) -> set[str]:
    """What is bound inside a definition and may hide a class of the module."""
    found: set[str] = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
            found.add(n.id)
        elif isinstance(n, ast.arg):
            found.add(n.arg)
        elif isinstance(n, ast.alias):
            found.add((n.asname or n.name).partition(".")[0])
        elif n is not node and isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(n.name)
        elif isinstance(n, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            found.add(n.name or "")
    return found
