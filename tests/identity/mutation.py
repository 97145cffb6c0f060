"""Small changes of executed statements, each of which Python would notice."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Iterator
from typing import NamedTuple

_BINARY = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mod,
           ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitOr: ast.BitAnd,
           ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift}  # fmt: skip
_COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
             ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "finalbody")


class Mutant(NamedTuple):
    """A changed source, what was changed, and whether that stands outside of functions."""

    source: str
    what: str
    line: int
    outside: bool


class Place(NamedTuple):
    """Where a tree can be changed: a top-level statement, a node of it in the order of ``ast.walk``, and how."""

    statement: int
    node: int
    kind: str
    line: int
    outside: bool


def places(tree: ast.Module, lines: set[int], outside: set[int] = frozenset()) -> list[Place]:  # type: ignore[assignment]
    """All changes of statements on these lines in functions, and of the defaults and decorators of functions there.

    ``outside`` are lines of statements of the module and of its classes, see ``used_outside``.
    """
    number = {id(node): (s, n) for s, top in enumerate(tree.body) for n, node in enumerate(ast.walk(top))}
    found = []
    in_functions = [(s, False) for s in _executed_statements(tree, lines)]
    others = [(s, True) for s in _statements_outside(tree) if s.lineno in outside]
    for statement, is_outside in [*in_functions, *others]:
        if isinstance(statement, ast.Pass | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
            continue
        if isinstance(statement, _FUNCTIONS):
            parts: list[ast.AST] = [*statement.args.defaults, *(d for d in statement.args.kw_defaults if d)]
            parts += statement.decorator_list
        elif isinstance(statement, ast.ClassDef):
            parts = [*statement.decorator_list, *statement.bases, *(k.value for k in statement.keywords)]
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a text
        else:
            parts = list(_own_parts(statement))
            found.append(Place(*number[id(statement)], "delete", statement.lineno, is_outside))
        for part in parts:
            for node in _expressions(part):
                found += [
                    Place(*number[id(node)], kind, statement.lineno, is_outside) for kind in _kinds(node)
                ]
    return found


def used_outside(tree: ast.Module, lines: set[int], imported: set[int]) -> set[int]:
    """Lines of statements outside functions on which what functions execute on ``lines`` rests.

    Those are all of a class of which a method is executed, constants that an executed statement of the same file
    reads, and statements that only have effects. ``imported`` are the lines that importing the file executes.
    """
    read = set(_globals_read(tree, lines))
    found = set()
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            if any(s.lineno in lines for f in statement.body if isinstance(f, _FUNCTIONS) for s in f.body):
                found |= {statement.lineno, *(s.lineno for s in statement.body)}
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            found |= {statement.lineno} if names & read and statement.value is not None else set()
        elif not isinstance(statement, (*_FUNCTIONS, ast.If)):
            found.add(statement.lineno)
    return found & (imported | lines)


def _globals_read(tree: ast.Module, lines: set[int]) -> Iterator[str]:
    """Names of the module that executed statements of functions read; none that the function around them binds."""
    for function in (n for n in ast.walk(tree) if isinstance(n, _FUNCTIONS)):
        own = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
        own |= {
            n.id for n in ast.walk(function) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
        }
        for statement in (s for s in ast.walk(function) if isinstance(s, ast.stmt) and s.lineno in lines):
            parts = () if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)) else _own_parts(statement)
            for node in (n for part in parts for n in _expressions(part)):
                if isinstance(node, ast.Name) and node.id not in own:
                    yield node.id


def _statements_outside(tree: ast.Module) -> Iterator[ast.stmt]:
    """Those of the module and of its classes, functions left out."""
    for statement in tree.body:
        if not isinstance(statement, _FUNCTIONS):
            yield statement
        if isinstance(statement, ast.ClassDef):
            yield from (s for s in statement.body if not isinstance(s, (*_FUNCTIONS, ast.ClassDef)))


def _executed_statements(tree: ast.Module, lines: set[int]) -> Iterator[ast.stmt]:
    for function in ast.walk(tree):
        if not isinstance(function, _FUNCTIONS):
            continue
        inside = [s for s in ast.walk(function) if isinstance(s, ast.stmt) and s is not function]
        if any(s.lineno in lines for s in function.body):
            yield function
        own = [
            s
            for s in inside
            if not any(s in ast.walk(f) for f in inside if isinstance(f, _FUNCTIONS) and f is not s)
        ]
        yield from (s for s in own if s.lineno in lines and not isinstance(s, (*_FUNCTIONS, ast.ClassDef)))


def _own_parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """What a statement evaluates itself: not the statements below it, no annotation, and not what it says in words."""
    if isinstance(statement, ast.Raise):
        return
    for field, value in ast.iter_fields(statement):
        if field in (*_BLOCKS, "handlers", "annotation", "cases", "msg"):
            continue
        yield from (v for v in (value if isinstance(value, list) else [value]) if isinstance(v, ast.AST))


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _expressions(child)


def _kinds(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Constant):
        return ["constant"] if not isinstance(node.value, type(...)) else []
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return ["operator", "operands"]
    if isinstance(node, ast.Compare):
        return ["comparison"]
    if isinstance(node, ast.BoolOp):
        return ["and or"]
    if isinstance(node, ast.UnaryOp):
        return ["unary"]
    if isinstance(node, ast.IfExp):
        return ["branches"]
    if isinstance(node, ast.Call):
        return [*(["arguments"] if len(node.args) > 1 else []), *(["keyword"] if node.keywords else [])]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        return ["attribute"]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return ["name"]
    if isinstance(node, ast.Slice):
        return ["slice"]
    return []


def mutated(source: str, tree: ast.Module, place: Place) -> Mutant | None:
    """The changed source; None where the change would be none."""
    statement = tree.body[place.statement]
    before = ast.dump(statement)
    changed = ast.Module([copy.deepcopy(statement)], [])
    node = next(itertools.islice(ast.walk(changed.body[0]), place.node, None))
    if place.kind == "delete":
        _delete(changed, node)
    else:
        _change(node, place.kind)
    if ast.dump(changed.body[0]) == before:
        return None
    lines = source.splitlines()
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
    text = [
        *lines[: first - 1],
        ast.unparse(ast.fix_missing_locations(changed)),
        *lines[statement.end_lineno :],
    ]
    return Mutant("\n".join(text), place.kind, place.line, place.outside)


def _delete(tree: ast.AST, statement: ast.AST) -> None:
    for node in ast.walk(tree):
        for field in _BLOCKS:
            block = getattr(node, field, None)
            if isinstance(block, list) and statement in block:
                block[block.index(statement)] = ast.Pass()
                return
    raise AssertionError("a statement stands in no block")


def _change(node: ast.AST, kind: str) -> None:
    if isinstance(node, ast.Constant):
        node.value = _other(node.value)
    elif isinstance(node, ast.BinOp) and kind == "operator":
        node.op = _BINARY[type(node.op)]()
    elif isinstance(node, ast.BinOp):
        node.left, node.right = node.right, node.left
    elif isinstance(node, ast.Compare):
        node.ops[0] = _COMPARED[type(node.ops[0])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd() if not isinstance(node.op, ast.UAdd) else ast.USub()
    elif isinstance(node, ast.IfExp):
        node.body, node.orelse = node.orelse, node.body
    elif isinstance(node, ast.Call) and kind == "arguments":
        node.args[0], node.args[1] = node.args[1], node.args[0]
    elif isinstance(node, ast.Call):
        node.keywords.pop()
    elif isinstance(node, ast.Attribute):
        node.attr += "_"
    elif isinstance(node, ast.Name):
        node.id += "_"
    elif isinstance(node, ast.Slice):
        node.lower, node.upper = node.upper, node.lower


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float | complex):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return value + b"x"
    return 0
