"""Small questions about syntax trees, asked wherever code is digested."""

from __future__ import annotations

import ast
import builtins

from favit.identity import scopes

# What differs between versions of Python, or says nothing that the place of a node does not say.
SKIPPED = ("kind", "type_comment", "ctx", "type_ignores")

# It loads the components that a run names, which are roots of its code, and no others.
LOADS_COMPONENTS = "favit.components.registry"

# Exceptions that hold the text that they are given and do nothing with it.
PLAIN_ERRORS = {
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == "builtins"
} - {"StopIteration", "StopAsyncIteration", "ExceptionGroup", "BaseExceptionGroup"}

# Methods of a logger that say something; `logger.exception` reads the one that is handled.
LOGGED = {"debug", "info", "warning", "error", "critical", "log"}

# Calls that import the module of the name that they are given, and by what that is called.
_LOADING = {
    "import_module": "name",
    "__import__": "name",
    "run_module": "mod_name",
    "find_spec": "name",
    "find_loader": "fullname",
    "get_loader": "module_or_name",
    "load_module": "fullname",
}


def loaded_by(node: ast.Call, package: str) -> str | None:
    """The module of a call ``import_module("favit.x")``, if it is written out."""
    name = _name_given(node)
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value):
        return None
    return _absolute(name.value, node, package)


def may_load(node: ast.Call, package: str) -> str | None:
    """How names begin that a call ``import_module(f"favit.room.{name}")`` makes when it runs; None for other calls."""
    name = _name_given(node)
    if name is None or loaded_by(node, package) is not None:
        return None
    return _absolute(_beginning(name), node, package) or ""


def _name_given(node: ast.Call) -> ast.expr | None:
    """The name in a call that imports what it is given a name of."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    if called not in _LOADING:
        return None
    by_word = [k.value for k in node.keywords if k.arg in (_LOADING[called], None)]
    return next(iter([*node.args, *by_word]), None)


def _absolute(text: str, node: ast.Call, package: str) -> str | None:
    """A name without leading dots; None where the package that it is relative to is not written out."""
    dots = len(text) - len(text.lstrip("."))
    if not dots:
        return text
    given = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "package")]
    if given and isinstance(given[0], ast.Constant):
        package = str(given[0].value)
    elif given and not (isinstance(given[0], ast.Name) and given[0].id == "__package__"):
        return None
    return scopes.absolute(text[dots:], dots, package) + "." * (text == "." * dots)


def _beginning(node: ast.expr) -> str:
    """The text that an expression begins with, as far as it is written out."""
    if isinstance(node, ast.JoinedStr):
        return _beginning(node.values[0]) if node.values else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _beginning(node.left)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _beginning(node.left).partition("%")[0]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _beginning(node.func.value).partition("{")[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


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
