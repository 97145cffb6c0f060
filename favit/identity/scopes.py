"""Which binding a name in a function means: Python's rules of scopes, as far as a definition's text needs them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Target = tuple[str, str | None]  # a module, and a name in it; None if the module itself is meant

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Scope:
    """One function, lambda, comprehension or class body; ``parent`` None is the module.

    ``kept`` are names that stay as they are written: parameters, nested definitions and all names of a class.
    ``local`` are those that can be replaced by numbers. ``imported`` are names that one import alone binds.
    """

    parent: Scope | None = None
    is_class: bool = False
    kept: set[str] = field(default_factory=set)
    local: dict[str, int | None] = field(default_factory=dict)
    imported: dict[str, Target] = field(default_factory=dict)
    of_module: set[str] = field(default_factory=set)

    def holder(self, name: str) -> Scope | None:
        """The scope that binds ``name`` for code in this one; None for the module or a builtin."""
        scope: Scope | None = self
        while scope is not None:
            visible = scope is self or not scope.is_class
            if visible and name in scope.of_module:
                return None
            if visible and (name in scope.kept or name in scope.local or name in scope.imported):
                return scope
            scope = scope.parent
        return None


def of_function(node: ast.AST, parent: Scope | None, package: str) -> Scope:
    """The scope of a function or lambda."""
    scope = Scope(parent)
    scope.kept.update(a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg) and a in _own(node.args))  # type: ignore[attr-defined]
    body = node.body if isinstance(node.body, list) else [node.body]  # type: ignore[attr-defined]
    _fill(scope, body, package)
    return scope


def of_comprehension(node: ast.AST, parent: Scope | None) -> Scope:
    """The scope of a comprehension: its targets; what ``:=`` binds in it belongs to the function around."""
    scope = Scope(parent)
    for generator in node.generators:  # type: ignore[attr-defined]
        for name in ast.walk(generator.target):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                scope.local[name.id] = None
    return scope


def of_class(node: ast.ClassDef, parent: Scope | None, package: str) -> Scope:
    """The scope of a class body, all of whose names are attributes."""
    scope = Scope(parent, is_class=True)
    for kind, name, _ in bindings(node.body, package):
        (scope.of_module if kind == "global" else scope.kept).add(name)
    return scope


def _own(arguments: ast.arguments) -> list[ast.arg]:
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def _fill(scope: Scope, body: Iterable[ast.AST], package: str) -> None:
    found = list(bindings(body, package))
    elsewhere = {name for kind, name, _ in found if kind in ("global", "nonlocal")}
    scope.of_module = {name for kind, name, _ in found if kind == "global"}
    times: dict[str, int] = {}
    for kind, name, _ in found:
        times[name] = times.get(name, 0) + (kind not in ("global", "nonlocal"))
    for kind, name, target in found:
        if name in elsewhere or name in scope.kept:
            continue
        if kind == "import" and times[name] == 1:
            assert target is not None
            scope.imported[name] = target
        elif kind in ("definition", "import"):
            scope.kept.add(name)
            scope.local.pop(name, None)
        else:
            scope.local[name] = None


def bindings(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, str, Target | None]]:
    """(kind, name, target) of all that statements bind in their own scope, nested ones left out.

    Kinds are ``local``, ``definition``, ``import``, ``global`` and ``nonlocal``; only imports have a target.
    """
    for node in nodes:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield "definition", node.name, None
            yield from bindings(_outside_of(node), package)
        elif isinstance(node, ast.Lambda):
            yield from bindings([*node.args.defaults, *filter(None, node.args.kw_defaults)], package)
        elif isinstance(node, _COMPREHENSIONS):
            yield from _walrus(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name, target, _ in imports(node, package):
                yield "import", name, target
        elif isinstance(node, ast.Global | ast.Nonlocal):
            kind = "global" if isinstance(node, ast.Global) else "nonlocal"
            yield from ((kind, name, None) for name in node.names)
        else:
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield "local", node.id, None
            for name in _named(node):
                yield "local", name, None
            yield from bindings(ast.iter_child_nodes(node), package)


def _outside_of(node: ast.AST) -> list[ast.AST]:
    """What of a definition is evaluated in the scope around it."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    arguments: ast.arguments = node.args  # type: ignore[attr-defined]
    return [*node.decorator_list, *arguments.defaults, *filter(None, arguments.kw_defaults)]  # type: ignore[attr-defined]


def _walrus(node: ast.AST) -> Iterator[tuple[str, str, None]]:
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.NamedExpr):
        yield "local", node.target.id, None
    for child in ast.iter_child_nodes(node):
        yield from _walrus(child)


def _named(node: ast.AST) -> list[str]:
    """Names that stand as text in a node: of a handler, and of patterns."""
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    if isinstance(node, ast.MatchMapping):
        return [node.rest] if node.rest else []
    return []


def imports(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Target, tuple[str, ...]]]:
    """(bound name, target, modules that may be loaded, in order) for each name of an import statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            target = alias.name if alias.asname else name
            yield name, (target, None), (alias.name,)
        return
    base = absolute(node.module or "", node.level, package)
    for alias in node.names:
        yield alias.asname or alias.name, (base, alias.name), (base, f"{base}.{alias.name}")


def absolute(name: str, level: int, package: str) -> str:
    """The dotted name that a relative one means in ``package``."""
    if not level:
        return name
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([name] if name else [])])
