"""Rules about several settings together: a plain function beside them, run without importing its file.

``check_settings(d_model, n_heads)`` takes settings by their names and raises ``ValueError`` if they do not go
together. It is compiled by itself from the file's syntax tree, so that a dry run needs neither torch nor the rest
of the file: it may use built-in functions, the file's own literals, and ``math`` and ``re`` where the file imports
them. Anything else in it is an error, found when it is read and not when it happens to run.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import symtable
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from favit.components.source import Source

NAME = "check_settings"

_BUILTINS = frozenset(
    {
        "ArithmeticError",
        "ValueError",
        "abs",
        "all",
        "any",
        "bool",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
    }
    | {"format", "frozenset", "int", "isinstance", "len", "list", "map", "max", "min", "pow", "range", "repr"}
    | {"reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip"}
)
_MODULES = {"math": math, "re": re}


@dataclass(frozen=True)
class Rule:
    """One function, ready to be called with the settings that its parameters name."""

    where: str
    parameters: tuple[str, ...]
    function: Callable[..., Any]

    def hold(self, values: Mapping[str, Any]) -> None:
        """``ValueError`` in the function's own words, or naming it where it fails or asks for no setting."""
        missing = [name for name in self.parameters if name not in values]
        if missing:
            raise ValueError(f"{self.where} uses {', '.join(missing)}, which is not a setting of such a run")
        try:
            answer = self.function(**{name: values[name] for name in self.parameters})
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{self.where} fails: {type(error).__name__}: {error}") from None
        if answer is not None:
            raise ValueError(f"{self.where} must raise ValueError or return nothing; it returned {answer!r}")


def rule(source: Source, literals: Mapping[str, Any], name: str = NAME) -> Rule | None:
    """The rule of this name in a file; None if there is none. ``Unreadable`` for one that cannot stand alone."""
    node = source.definition(name)
    if node is None:
        if source.binds(name):
            raise source.error(source.tree, f"{name} must be a function defined in this file")
        return None
    _check_plain(source, node, name)
    assert isinstance(node, ast.FunctionDef)
    module = ast.Module([_Bare().visit(ast.parse(ast.unparse(node)).body[0])], [])
    text = ast.unparse(module)
    known = {**{n: getattr(builtins, n) for n in _BUILTINS}, **_imported(source), **literals}
    for used in sorted(_names_from_outside(symtable.symtable(text, str(source.file), "exec"))):
        if used not in known or (used in _BUILTINS and used not in literals and source.binds(used)):
            raise source.error(node, f"{name} uses {used}; {_ALLOWED}")
    namespace: dict[str, Any] = {"__builtins__": {}, **known}
    exec(compile(text, f"{source.file}: {name}", "exec", dont_inherit=True), namespace)
    return Rule(f"{name} in {source.file}", tuple(a.arg for a in node.args.args), namespace[name])


_ALLOWED = "it may use its parameters, built-in functions, math, re and literals of its file"


def _check_plain(source: Source, node: ast.stmt, name: str) -> None:
    """It is a function of named settings that neither imports nor reaches outside."""
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        raise source.error(node, f"{name} must be a plain function without decorators")
    arguments = node.args
    if arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
        raise source.error(node, f"{name} takes settings by name; remove * and / from its parameters")
    if arguments.defaults:
        raise source.error(node, f"{name} must not have defaults; the settings have their own")
    for part in ast.walk(node):
        if isinstance(part, ast.Import | ast.ImportFrom | ast.Global | ast.Yield | ast.YieldFrom | ast.Await):
            raise source.error(part, f"{name} cannot be read: {_ALLOWED}")


class _Bare(ast.NodeTransformer):
    """Takes annotations away, which would be evaluated and say nothing here."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """An argument without its annotation."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function without the annotation of what it returns."""
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A plain assignment in place of an annotated one."""
        return (
            self.generic_visit(ast.Assign([node.target], node.value, lineno=node.lineno))
            if node.value
            else ast.Pass()
        )


def _names_from_outside(table: symtable.SymbolTable) -> Iterator[str]:
    for child in table.get_children():
        yield from (s.get_name() for s in child.get_symbols() if s.is_global())
        yield from _names_from_outside(child)


def _imported(source: Source) -> dict[str, Any]:
    return {name: _MODULES[what] for name, what in source.imported.items() if what in _MODULES}
