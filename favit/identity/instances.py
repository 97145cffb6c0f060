"""Attributes that are looked up by names made at run time, and of nothing that could be a module of the project.

``getattr(x, name)`` may read any name of any module that is handed around. Two uses cannot:
``getattr(x, field.name)`` for the ``fields(x)`` of a dataclass, and ``hasattr(torch.ops, name)`` of another package.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

from favit.identity.scopes import Target

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Instances:
    """The lookups of one top-level statement; ``imported`` are names that the module binds by one import alone."""

    def __init__(self, node: ast.stmt, imported: Mapping[str, Target]) -> None:
        self._bound = Counter(_bound(node))
        self._imported = {name: target for name, target in imported.items() if name not in self._bound}
        self._of_fields = set(self._fields(node))
        self.foreign: set[str] = set()  # attributes of other packages that were looked into
        for n in ast.walk(node):
            self.foreign |= set(self._chain(n) or ())

    def looked_up(self, call: ast.Call) -> bool:
        """Whether a call looks into what is no module of the project."""
        return id(call) in self._of_fields or self._chain(call) is not None

    def _chain(self, call: ast.AST) -> list[str] | None:
        """The attributes in ``hasattr(package.a.b, name)``; None for anything else."""
        if not (isinstance(call, ast.Call) and self._is_builtin(call.func, "hasattr") and call.args):
            return None
        chain, base = [], call.args[0]
        while isinstance(base, ast.Attribute):
            chain.append(base.attr)
            base = base.value
        if not isinstance(base, ast.Name) or base.id not in self._imported:
            return None
        module, name = self._imported[base.id]
        return None if module.partition(".")[0] == "favit" else [*chain, *([name] if name else [])]

    def _fields(self, node: ast.AST) -> Iterator[int]:
        """The ids of calls ``getattr(x, field.name)`` in loops ``for field in fields(x)`` over a parameter ``x``."""
        for function in (n for n in ast.walk(node) if isinstance(n, _FUNCTIONS)):
            parameters = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
            for loop in ast.walk(function):
                if isinstance(loop, ast.For):
                    target, source = loop.target, loop.iter
                elif isinstance(loop, _COMPREHENSIONS):
                    target, source = loop.generators[0].target, loop.generators[0].iter
                else:
                    continue
                owner = self._dataclass(source)
                once = isinstance(target, ast.Name) and self._bound[target.id] == 1
                if once and owner in parameters and self._bound[owner] == 1:
                    yield from (id(n) for n in ast.walk(loop) if self._reads_field(n, owner, target.id))  # type: ignore[attr-defined]

    def _dataclass(self, node: ast.expr) -> str:
        """``x`` of ``fields(x)``."""
        if not (isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.args[0], ast.Name)):
            return ""
        func = node.func
        if isinstance(func, ast.Name):
            is_fields = self._imported.get(func.id) == ("dataclasses", "fields")
        else:
            is_fields = (
                isinstance(func, ast.Attribute)
                and func.attr == "fields"
                and isinstance(func.value, ast.Name)
                and self._imported.get(func.value.id) == ("dataclasses", None)
            )
        return node.args[0].id if is_fields else ""

    def _reads_field(self, call: ast.AST, owner: str, name: str) -> bool:
        if not (isinstance(call, ast.Call) and self._is_builtin(call.func, "getattr") and len(call.args) > 1):
            return False
        of, what = call.args[:2]
        return (
            isinstance(of, ast.Name) and of.id == owner
            and isinstance(what, ast.Attribute) and what.attr == "name"
            and isinstance(what.value, ast.Name) and what.value.id == name
        )  # fmt: skip

    def _is_builtin(self, node: ast.expr, name: str) -> bool:
        return isinstance(node, ast.Name) and node.id == name and name not in self._bound


def _bound(node: ast.AST) -> Iterator[str]:
    """Every name that is bound anywhere in a statement, in whatever scope, as often as it is."""
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
            yield n.id
        elif isinstance(n, ast.arg):
            yield n.arg
        elif isinstance(n, ast.alias):
            yield (n.asname or n.name).partition(".")[0]
        elif isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield n.name
        elif isinstance(n, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            yield from [n.name] if n.name else []
        elif isinstance(n, ast.MatchMapping):
            yield from [n.rest] if n.rest else []
        elif isinstance(n, ast.Global | ast.Nonlocal):
            yield from n.names
