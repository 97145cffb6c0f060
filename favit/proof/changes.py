"""The statements that differ between two codes, and those that read what they define. Free of torch.

Source is compared statement by statement within each definition, without layout, comments and docstrings. What is
found here has to be executed before equal numbers say anything of it.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from favit.identity.closure import Closure, Reader, without_effect
from favit.identity.definitions import Code

Place = tuple[int, int]  # line from 1, column from 0, in bytes as the compiler counts

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_LOADS_BY_NAME, _TRAINING = "favit.components.registry", "favit.train."
_IN_BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith, ast.Match)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Statement:
    """One statement, without those in its blocks: where it is, what it says, what it binds and reads."""

    module: str
    owner: str  # the function, method or class that it belongs to; empty in a module
    line: int
    text: str  # what is compared: kind, depth, content
    ranges: tuple[tuple[Place, Place], ...]  # where its own instructions begin
    reads: frozenset[str]
    binds: frozenset[str]  # names that others may read, of statements of modules and classes
    node: ast.AST = field(compare=False, repr=False)
    around: tuple[ast.AST, ...] = field(
        compare=False, repr=False, default=()
    )  # the `if` statements around it
    in_function: bool = False

    @property
    def place(self) -> str:
        """The place to print: ``train/loop.py, line 12``."""
        return f"{self.module.partition('.')[2].replace('.', '/') or self.module}.py, line {self.line}"


def statements(code: Closure, reader: Reader) -> dict[str, list[Statement]]:
    """All statements of a code, by module."""
    found = {}
    for name in code.modules:
        path = reader.file_of(name)
        if path is not None:
            tree = ast.parse(path.read_bytes().decode("utf-8-sig"))
            found[name] = list(_of_block(tree.body, name, "", 0, (), False))
    return found


def files(names: Iterable[str], reader: Reader) -> dict[str, Path]:
    """The files of modules."""
    return {name: path for name in names if (path := reader.file_of(name)) is not None}


def reached(those: Iterable[Statement], code: Code, reader: Reader) -> list[Statement]:
    """The statements that the code can execute, judged by its functions and classes."""
    own: dict[str, set[str]] = {}
    found = []
    for statement in those:
        module, top = statement.module, statement.owner.partition(".")[0]
        if module not in own:
            path = reader.file_of(module)
            body = ast.parse(path.read_bytes()).body if path else []
            own[module] = {node.name for node in body if isinstance(node, _DEFINITIONS)}
        unreached = top in own[module] and top not in code.names.get(module, {})
        if module in code.whole or not unreached:
            found.append(statement)
    return found


def callers(code: Closure) -> dict[str, set[str]]:
    """By module, the modules that can call it: they import it, directly or not, or load it by name."""
    named = {root for root in code.roots if root in code.modules}
    components = {root for root in named if not root.startswith(_TRAINING)}
    below = {name: set(module.imports) for name, module in code.modules.items()}
    for name, imported in below.items():
        if _LOADS_BY_NAME in imported:
            imported |= named if name.startswith(_TRAINING) else components
    found: dict[str, set[str]] = {name: set() for name in code.modules}
    for caller in below:
        waiting, seen = [caller], {caller}
        while waiting:
            more = below.get(waiting.pop(), set()) - seen
            seen |= more
            waiting.extend(more)
        for name in seen & found.keys():
            found[name].add(caller)
    return found


def changed(
    old: Mapping[str, list[Statement]], new: Mapping[str, list[Statement]]
) -> tuple[list[Statement], list[Statement]]:
    """The statements of each side that the other has not, and those that read what they define."""
    only: tuple[list[Statement], list[Statement]] = ([], [])
    for module in {**old, **new}:
        sides = [_by_owner(side.get(module, [])) for side in (old, new)]
        for owner in {**sides[0], **sides[1]}:
            before, after = (side.get(owner, []) for side in sides)
            matcher = difflib.SequenceMatcher(None, [s.text for s in before], [s.text for s in after], False)
            for kind, a, b, c, d in matcher.get_opcodes():
                if kind != "equal":
                    only[0].extend(before[a:b])
                    only[1].extend(after[c:d])
    names = _bound([*only[0], *only[1]], [*_all(old), *_all(new)])
    others = _named_anew(*only)
    one, other = (
        _with(own, side, names, _called(others, side)) for own, side in ((only[0], old), (only[1], new))
    )
    return one, other


def _named_anew(before: list[Statement], after: list[Statement]) -> set[str]:
    """Names that what differs uses on one side only, and definitions that are there on one side only.

    What they stand for is called elsewhere or otherwise than before, though nothing in it may have changed.
    """
    uses = [{name for statement in side for name in statement.reads} for side in (before, after)]
    heads = [
        {s.owner.rpartition(".")[2] for s in side if isinstance(s.node, _DEFINITIONS)}
        for side in (before, after)
    ]
    return (uses[0] ^ uses[1]) | (heads[0] ^ heads[1])


def _called(names: set[str], side: Mapping[str, list[Statement]]) -> set[tuple[str, str]]:
    """Module and owner of all functions and classes that go by these names, and of what they may call."""
    by_name: dict[str, list[Statement]] = {}
    for statement in _all(side):
        for part in set(statement.owner.split(".")) - {""}:
            by_name.setdefault(part, []).append(statement)
    found: set[tuple[str, str]] = set()
    seen: set[str] = set()
    waiting = set(names)
    while waiting:
        seen |= waiting
        reached = [s for name in waiting for s in by_name.get(name, ())]
        found |= {(s.module, s.owner) for s in reached}
        waiting = {name for s in reached for name in s.reads} - seen
    return found


def _bound(seeds: list[Statement], every: list[Statement]) -> set[str]:
    """Names that changed statements define outside functions, and those that are defined by reading them."""
    names = {name for statement in seeds for name in statement.binds}
    while True:
        more = {name for s in every if s.binds and s.reads & names for name in s.binds} - names
        if not more:
            return names
        names |= more


def _with(
    own: list[Statement], side: Mapping[str, list[Statement]], names: set[str], called: set[tuple[str, str]]
) -> list[Statement]:
    """A side's own statements, those that read one of the names, and those of the functions that are called anew."""
    mine = {id(statement) for statement in own}
    others = (s for s in _all(side) if id(s) not in mine)
    return own + [s for s in others if s.reads & names or (s.module, s.owner) in called]


def _all(side: Mapping[str, list[Statement]]) -> Iterator[Statement]:
    for those in side.values():
        yield from those


def _by_owner(those: list[Statement]) -> dict[str, list[Statement]]:
    found: dict[str, list[Statement]] = {}
    for statement in those:
        found.setdefault(statement.owner, []).append(statement)
    return found


def _of_block(
    block: list[Any], module: str, owner: str, depth: int, around: tuple[ast.AST, ...], in_function: bool
) -> Iterator[Statement]:
    for node in block:
        if without_effect(node):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imports(node, module, owner, depth, around, in_function)
        elif isinstance(node, _DEFINITIONS):
            yield from _definition(node, module, owner, depth, around, in_function)
        else:
            inner = {
                name: getattr(node, name)
                for name in _BLOCKS
                if isinstance(node, _IN_BLOCKS) and hasattr(node, name)
            }
            yield _statement(node, inner, module, owner, depth, around, in_function)
            for name, those in inner.items():
                own = (*around, node) if isinstance(node, ast.If) else around
                if name in ("handlers", "cases"):
                    for case in those:
                        yield _statement(case, {"body": case.body}, module, owner, depth, around, in_function)
                        yield from _of_block(case.body, module, owner, depth + 1, around, in_function)
                elif those:
                    if name != "body":
                        yield _mark(name, node, module, owner, depth, in_function)
                    yield from _of_block(those, module, owner, depth + 1, own, in_function)


def _definition(
    node: Any, module: str, owner: str, depth: int, around: tuple[ast.AST, ...], in_function: bool
) -> Iterator[Statement]:
    """A function or class: its head belongs to itself, so that its place in the file says nothing."""
    within = f"{owner}.{node.name}".lstrip(".")
    yield _statement(node, {"body": node.body}, module, within, 0, around, in_function)
    is_function = not isinstance(node, ast.ClassDef)
    yield from _of_block(
        node.body, module, within, 1, around if is_function else (), in_function or is_function
    )


def _imports(
    node: Any, module: str, owner: str, depth: int, around: tuple[ast.AST, ...], in_function: bool
) -> Iterator[Statement]:
    """One statement for each imported name."""
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return
    source = f"{'.' * node.level}{node.module or ''}" if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        bound = alias.asname or alias.name.partition(".")[0]
        yield Statement(
            module, owner, node.lineno, f"{depth} import {source} {alias.name} {alias.asname}", (_range(node),),
            frozenset({alias.name}) if source.startswith(("favit", ".")) else frozenset(),
            frozenset() if in_function else frozenset({bound}), node, around, in_function,
        )  # fmt: skip


def _statement(
    node: Any, blocks: Mapping[str, Any], module: str, owner: str, depth: int, around: tuple[ast.AST, ...],
    in_function: bool,
) -> Statement:  # fmt: skip
    own = [child for name, value in ast.iter_fields(node) if name not in blocks for child in _nodes(value)]
    content = [(name, _dump(value)) for name, value in ast.iter_fields(node) if name not in blocks]
    placed = [node] if hasattr(node, "lineno") else [p for child in own for p in _placed(child)]
    line = getattr(placed[0], "lineno", 0) if placed else 0
    inner = [n for child in own for n in ast.walk(child)]
    reads = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    reads |= {n.attr for n in inner if isinstance(n, ast.Attribute)}
    binds = frozenset() if in_function else frozenset(_binds(node, inner))
    if blocks:
        first = [(node.lineno, node.col_offset)] if hasattr(node, "lineno") else []
        ranges = tuple(_range(part) for child in own for part in _placed(child))
        ranges += tuple((place, (place[0], place[1] + 1)) for place in first)
    else:
        ranges = (_range(node),)
    return Statement(
        module, owner, line, f"{depth} {type(node).__name__} {content}", ranges, frozenset(reads), binds, node,
        around, in_function,
    )  # fmt: skip


def _mark(name: str, node: Any, module: str, owner: str, depth: int, in_function: bool) -> Statement:
    """``else`` or ``finally``, which have no instruction of their own."""
    nothing: frozenset[str] = frozenset()
    return Statement(
        module, owner, node.lineno, f"{depth} {name}", (), nothing, nothing, node, (), in_function
    )


def _binds(node: ast.AST, inner: list[ast.AST]) -> Iterator[str]:
    yield from (n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    if isinstance(node, ast.ClassDef):
        yield node.name  # of which the head was changed: its bases, decorators
    # A statement of a module that is neither, such as a call, may change anything: nobody can name its readers.


def _range(node: Any) -> tuple[Place, Place]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _placed(node: ast.AST) -> list[Any]:
    """A node, or where it has no place in the source, as the arguments of a function have none, those below it."""
    if hasattr(node, "lineno"):
        return [node]
    return [part for child in ast.iter_child_nodes(node) for part in _placed(child)]


def _nodes(value: Any) -> list[ast.AST]:
    if isinstance(value, list):
        return [node for item in value for node in _nodes(item)]
    return [value] if isinstance(value, ast.AST) else []


def _dump(value: Any) -> Any:
    if isinstance(value, list):
        return [_dump(item) for item in value]
    return ast.dump(value) if isinstance(value, ast.AST) else repr(value)
