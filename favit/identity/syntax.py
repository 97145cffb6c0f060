"""Small questions about syntax trees, asked wherever code is digested."""

from __future__ import annotations

import ast
import builtins

from favit.identity import scopes

# What differs between versions of Python, or says nothing that the place of a node does not say.
SKIPPED = ("kind", "type_comment", "ctx", "type_ignores")

# Exceptions that hold the text that they are given and do nothing with it.
PLAIN_ERRORS = {
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == "builtins"
} - {"StopIteration", "StopAsyncIteration", "ExceptionGroup", "BaseExceptionGroup"}


def loaded_by(node: ast.Call, package: str) -> str | None:
    """The module of a call ``import_module("favit.x")``, if it is written out."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    if name not in ("import_module", "__import__", "run_module", "find_spec") or not node.args:
        return None
    first = node.args[0]
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value):
        return None
    dots = len(first.value) - len(first.value.lstrip("."))
    return scopes.absolute(first.value.lstrip("."), dots, package)


def may_load(node: ast.Call, package: str) -> str | None:
    """The package of a call ``import_module(f"favit.room.{name}")``, if only the last part is made at run time."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    if (
        name not in ("import_module", "__import__")
        or not node.args
        or not isinstance(node.args[0], ast.JoinedStr)
    ):
        return None
    first, *rest = node.args[0].values
    text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    if len(rest) != 1 or not text.endswith("."):
        return None
    dots = len(text) - len(text.lstrip("."))
    return scopes.absolute(text[dots:-1], dots, package)


def plain_text(node: ast.AST) -> str:
    """An expression as it is spelt, written down in a form of our own."""
    parts = []
    for field in sorted(node._fields):
        child = getattr(node, field, None)
        if field in SKIPPED or (child in (None, []) and not isinstance(node, ast.Constant)):
            continue
        items = child if isinstance(child, list) else [child]
        parts.append(",".join(plain_text(i) if isinstance(i, ast.AST) else repr(i) for i in items))
    return f"{type(node).__name__}({';'.join(parts)})"
