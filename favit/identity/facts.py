"""What one source file contributes to the code of a run, statement by statement; plain values that a cache can hold.

A file is *provable* where its top level does no more than import and define, each name once. Any other counts whole:
its statements then have effects, or what a name means cannot be told.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Any

from favit.identity import scopes
from favit.identity.canonical import Writer
from favit.identity.closure import condition, for_checkers, without_effect
from favit.identity.looks import looks
from favit.identity.pieces import Pieces
from favit.identity.purity import Purity

PACKAGE = "favit"
IMPORTS = "imports"  # what import statements go by among the definitions of a file


def analyse(source: str, module: str, is_package: bool = False) -> dict[str, Any]:
    """The facts of a module. ``SyntaxError`` for source that cannot be parsed.

    ``whole`` says why all of the file counts, empty where it is provable; ``bases`` are classes elsewhere that must not
    be told of those derived from them; ``statements`` are in their order.
    """
    return _Analysis(ast.parse(source), module, is_package).facts()


class _Analysis:
    def __init__(self, tree: ast.Module, module: str, is_package: bool) -> None:
        self._module = module
        self._package = module if is_package else module.rpartition(".")[0]
        self._body = [node for node in _run(tree) if not (module == PACKAGE and _answers_people(node))]
        found = list(scopes.bindings(self._body, self._package))
        self._bound = {name for kind, name, _ in found if kind not in ("global", "nonlocal")}
        self._imported = {name: target for kind, name, target in found if kind == "import" and target}
        times = Counter(name for _, name, _ in found)
        self._once = {name: target for name, target in self._imported.items() if times[name] == 1}
        self._late = any(
            isinstance(n, ast.ImportFrom)
            and n.module == "__future__"
            and any(a.name == "annotations" for a in n.names)
            for n in self._body
        )
        values = {n: v for s in self._body for n, v in _values(s)}
        classes = {s.name: s for s in self._body if isinstance(s, ast.ClassDef)}
        functions = [s.name for s in self._body if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)]
        self._purity = Purity(self._imported, values, classes, functions, is_own, self._late)
        self._loggers = {n for n in self._bound if times[n] == 1 and self._logs(n, values.get(n))}

    def facts(self) -> dict[str, Any]:
        statements = [self._statement(s) for s in self._body if not without_effect(s)]
        return {
            "whole": self._why_whole(),
            "late": self._late,
            "loggers": sorted(self._loggers),
            "bases": [list(b) for b in self._purity.bases],
            "attributes": [list(a) for a in self._purity.attributes],
            "named": [list(n) for n in self._purity.named],
            "statements": statements,
            "doc": _docstring(self._body),
        }

    def _why_whole(self) -> str:
        """Why the file cannot be taken apart."""
        times: dict[str, list[str]] = {}
        for statement in self._body:
            if without_effect(statement):
                continue
            for kind, name, target in scopes.bindings([statement], self._package):
                # ``import a.b`` and ``import a.c`` both bind a, to the same module
                same = f"import {target}" if kind == "import" and isinstance(statement, ast.Import) else kind
                times.setdefault(name, []).append(same)
            if self._has_effect(statement):
                return f"line {statement.lineno}: a statement with effects"
        for name, kinds in times.items():
            if len(kinds) > 1 and not (len(set(kinds)) == 1 and kinds[0].startswith("import ")):
                return f"{name} is bound more than once"
            if name in ("__getattr__", "__dir__"):
                return f"{name} answers for names that are not there"
        if any(
            isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for s in self._body for n in ast.walk(s)
        ):
            return "a star import"
        return ""

    def _has_effect(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return not self._purity.function(node)
        if isinstance(node, ast.ClassDef):
            return not self._purity.of_class(node)
        if isinstance(node, ast.Assign):
            targets = all(map(_is_names, node.targets))
            return not (targets and self._purity.expression(node.value)) or _binds_inside(node)
        if isinstance(node, ast.AnnAssign):
            late = self._late or self._purity.expression(node.annotation) or node.value is None
            value = node.value is None or self._purity.expression(node.value)
            return not (isinstance(node.target, ast.Name) and late and value) or _binds_inside(node)
        return not isinstance(node, ast.Import | ast.ImportFrom) and not without_effect(node)

    def _statement(self, node: ast.stmt) -> dict[str, Any]:
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        names = [
            n for kind, n, _ in scopes.bindings([node], self._package) if kind not in ("global", "nonlocal")
        ]
        needs, reads, words, freeze, foreign, stored, says = looks(node, self._imported, self._once)
        found: dict[str, Any] = {
            "kind": "import" if is_import else type(node).__name__,
            "label": _label(node),
            "binds": names,
            "line": node.lineno,
            "needs": sorted(needs),
            "reads": sorted(reads),
            "words": sorted(words),
            "foreign": sorted(foreign),
            "stored": sorted(stored),
            "says": sorted(says),
        }
        if is_import:
            every = list(scopes.imports(node, self._package))  # type: ignore[arg-type]
            found["imports"] = [[name, *target] for name, target, _ in every]
            found["loads"] = [m for _, _, loaded in every for m in loaded]
        else:
            loads: list[str] = []
            if isinstance(
                node, ast.If | ast.Try | ast.With | ast.For | ast.While
            ):  # imports under conditions
                inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
                every = [i for n in inner for i in scopes.imports(n, self._package)]
                loads = [m for _, _, loaded in every for m in loaded]
            found["loads"] = loads
            found["pieces"] = self._pieces(node, freeze)
            found["effect"] = self._has_effect(node)
            found["plain_value"] = not isinstance(node, ast.Assign) or self._purity.operand(node.value)
            if isinstance(node, ast.ClassDef):
                found.update(self._of_class(node, freeze))
        return found

    def _pieces(self, node: ast.stmt, freeze: bool) -> Pieces:
        late = ["late annotations "] if self._late and _annotates(node) else []
        annotated = not self._late and any(not self._purity.annotation(a) for a in _annotations(node))
        writer = self._writer(freeze, annotated)
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign) and len(node.targets) == 1
            else getattr(node, "target", 0)
        )
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(target, ast.Name)
            and node.value is not None
            and not annotated
        ):
            # a constant's own name says nothing
            return [*late, "value ", *writer.written(node.value), *writer.local_names()]
        return [*late, *writer.written(node), *writer.local_names()]

    def _writer(self, freeze: bool, annotated: bool = False) -> Writer:
        return Writer(self._module, self._package, self._bound, freeze, annotated, self._loggers)

    def _logs(self, name: str, value: ast.expr | None) -> bool:
        """Whether a name stands for ``logging`` or for one of its loggers."""
        if isinstance(value, ast.Call):
            return self._purity.meaning(value.func) == "logging.getLogger"
        return self._once.get(name) == ("logging", None)

    def _of_class(self, node: ast.ClassDef, freeze: bool) -> dict[str, Any]:
        before = len(self._purity.bases)
        Purity.of_class(self._purity, node)
        bases = [list(b) for b in self._purity.bases[before:]]
        methods = {
            f"{node.name}.{m.name}": self._writer(freeze).written(m)
            for m in node.body
            if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        own = [n for n in node.bases if isinstance(n, ast.Name)]
        return {
            "told": self._purity.told(node),
            "base_names": [n.id for n in own],
            "needs_bases": bases,
            "methods": methods,
            "plain": _is_plain_error(node),
        }


def _docstring(body: list[ast.stmt]) -> str:
    first = body[0] if body else None
    value = first.value if isinstance(first, ast.Expr) else None
    return repr(value.value) if isinstance(value, ast.Constant) else ""


def is_own(module: str) -> bool:
    """Whether a module belongs to the project."""
    return module.partition(".")[0] == PACKAGE


def _run(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run: not those for type checkers alone."""
    asked = any(isinstance(node, ast.If) and condition(node) for node in tree.body)
    never = for_checkers(tree) if asked else ()
    for node in tree.body:
        if isinstance(node, ast.If) and condition(node) in never:
            yield from node.orelse
        else:
            yield node


def _answers_people(node: ast.stmt) -> bool:
    """``__getattr__`` and ``__dir__`` of the package itself, by which people load results (``favit/__init__.py``).

    They answer for names that neither the file nor the package's folder has, from modules that no import statement
    leads to, so that no snapshot has them: code that trains cannot have a number from there.
    """
    return (
        isinstance(node, ast.FunctionDef)
        and node.name in ("__getattr__", "__dir__")
        and not (node.decorator_list or node.args.defaults or node.args.kw_defaults)
    )


def _values(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value


def _is_names(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(map(_is_names, node.elts))
    return isinstance(node, ast.Name)


def _binds_inside(node: ast.AST) -> bool:
    return any(isinstance(n, ast.NamedExpr) for n in ast.walk(node))


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    """All annotations in a statement: of functions, and of names."""
    for n in ast.walk(node):
        found = (
            getattr(n, "returns", None) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) else None,
            n.annotation if isinstance(n, ast.arg | ast.AnnAssign) else None,
        )
        yield from filter(None, found)


def _annotates(node: ast.stmt) -> bool:
    """Whether annotations of a definition may be looked at."""
    return isinstance(node, ast.ClassDef) or bool(getattr(node, "decorator_list", []))


def _label(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return IMPORTS
    names = [n for n, _ in _values(node)]
    return names[0] if names else "module level"


def _is_plain_error(node: ast.ClassDef) -> bool:
    """A class without anything that could look at a text that it is given."""
    return (
        not node.keywords
        and not node.decorator_list
        and all(without_effect(s) for s in node.body)
        and bool(node.bases)
    )
