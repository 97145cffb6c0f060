"""Whether a probe has executed the statements that differ, each of their conditions both ways. Free of torch."""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

from favit.identity.outside import asked_of_machine
from favit.proof.changes import Place, Statement
from favit.proof.probe import key_of

Arcs = Mapping[
    str, Iterable[tuple[int, int]]
]  # of one file: key of a code -> offsets that followed on each other

# Values of a run that do not change while it is trained. The seed is none: one probe speaks for all seeds.
_ENTERING = {"RESUME", "MAKE_CELL", "COPY_FREE_VARS", "RETURN_GENERATOR"}  # executed before a trace begins
_NOT_FIXED = {"seed", "lr", "min_lr"}


@dataclass
class Spot:
    """What begins at one place of the source: whether it was executed, and how each of its conditions came out."""

    executed: bool = False
    outcomes: list[set[bool]] = field(default_factory=list)

    def came_out_one_way(self, each: bool) -> bool:
        """Whether a condition, or where a loop repeats it both copies of it together, was only ever true or false."""
        together = set().union(*self.outcomes)
        return any(len(own if each else together) < 2 for own in self.outcomes)


@dataclass(frozen=True)
class Executed:
    """What was executed of one file."""

    spots: Mapping[tuple[str, Place], Spot]  # by the code's name and the place
    called: frozenset[str]  # names of functions, without <locals>


def executed(path: Path, arcs: Arcs) -> Executed:
    """What a file's trace says, by places of its source."""
    spots: dict[tuple[str, Place], Spot] = {}
    called = set()
    for code in _codes(compile(path.read_bytes(), str(path), "exec")):
        after: dict[int, set[int]] = {}
        for before, now in arcs.get(key_of(code), ()):
            after.setdefault(before, set()).add(now)
        seen = {offset for targets in after.values() for offset in targets}
        if seen:
            called.add(code.co_qualname.replace(".<locals>", ""))
        leaving = False  # a `with` statement by an exception, which it may suppress
        for instruction in dis.get_instructions(code):
            is_condition, leaving = (
                _is_jump(instruction.opname) and not leaving,
                "WITH_EXCEPT" in instruction.opname,
            )
            place = instruction.positions
            if place is None or place.lineno is None or place.col_offset is None:
                continue
            spot = spots.setdefault((code.co_qualname, (place.lineno, place.col_offset)), Spot())
            spot.executed |= instruction.offset in seen or (bool(seen) and instruction.opname in _ENTERING)
            if is_condition:
                negated = "IF_FALSE" in instruction.opname or "IF_NONE" in instruction.opname
                ways = after.get(instruction.offset, set())
                spot.outcomes.append({(way == instruction.argval) != negated for way in ways})
    return Executed(spots, frozenset(called))


def not_proved(
    wanted: Iterable[Statement],
    found: Mapping[str, Executed],
    settings: Iterable[str],
    every: Mapping[str, Iterable[Statement]],
    callers: Mapping[str, Iterable[str]],
) -> Iterator[str]:
    """For each statement about which equal numbers prove nothing, the reason, with its place.

    ``every`` are all statements of the code by module, ``callers`` the modules that may call something in each.
    """
    fixed = {key.rpartition(".")[2] for key in settings} - _NOT_FIXED
    handled = {
        module: {
            name for s in those if isinstance(s.node, ast.ExceptHandler) for name in s.reads or {"Exception"}
        }
        for module, those in every.items()
    }
    for statement in wanted:
        around = {statement.module, *callers.get(statement.module, ())}
        caught = {name for module in around for name in handled.get(module, ())}
        reason = _reason(statement, found.get(statement.module), fixed, caught)
        if reason:
            yield f"{statement.place}: {reason}"


def _reason(statement: Statement, file: Executed | None, fixed: set[str], caught: set[str]) -> str | None:
    if file is None:
        return "was not imported"
    if asked := next(asked_of_machine(ast.unparse(_own(statement.node))), None):
        return f"reads {asked[1]}"
    if _is_refusal(statement.node, caught):
        return None
    mine = dict(_mine(statement, file))
    if statement.ranges and not any(spot.executed for spot in mine.values()):
        return None if _is_left_out(statement, file, fixed) else "was not executed"
    is_function = isinstance(statement.node, ast.FunctionDef | ast.AsyncFunctionDef)
    if is_function and statement.owner not in file.called:
        return "was not called"
    if isinstance(statement.node, ast.Assert) or _is_fixed(getattr(statement.node, "test", None), fixed):
        return None
    if _only_refuses(statement.node, caught):
        return None  # what it refuses has no result
    nested = {name for name, place in mine} - {name for (name, _), spot in mine.items() if spot.executed}
    if nested:
        return "was executed in part"
    chained = any(isinstance(n, ast.Compare) and len(n.ops) > 1 for n in ast.walk(_own(statement.node)))
    decided = [
        (_begin(n.test), _end(n.test))
        for n in ast.walk(_own(statement.node))
        if isinstance(n, ast.IfExp) and _is_fixed(n.test, fixed)
    ]
    open_spots = [s for (_, place), s in mine.items() if not any(a <= place < b for a, b in decided)]
    if any(spot.came_out_one_way(chained) for spot in open_spots):
        return "holds a condition that came out one way only"
    return None


def _mine(statement: Statement, file: Executed) -> Iterator[tuple[tuple[str, Place], Spot]]:
    for (name, place), spot in file.spots.items():
        if any(begin <= place < end for begin, end in statement.ranges):
            yield (name, place), spot


def _is_left_out(statement: Statement, file: Executed, fixed: set[str]) -> bool:
    """Whether it is below an ``if`` that these settings decide, and that was asked: no run of them executes it."""
    for around in statement.around:
        test = around.test  # type: ignore[attr-defined]
        spots = file.spots.items()
        asked = any(spot.executed for (_, place), spot in spots if _begin(test) <= place < _end(test))
        if asked and _is_fixed(test, fixed):
            return True
    return False


def _begin(node: ast.expr) -> Place:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> Place:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _is_fixed(test: ast.expr | None, fixed: set[str]) -> bool:
    """Whether a condition consists of settings and constants alone."""
    if isinstance(test, ast.BoolOp):
        return all(_is_fixed(value, fixed) for value in test.values)
    if isinstance(test, ast.UnaryOp):
        return _is_fixed(test.operand, fixed)
    if isinstance(test, ast.Compare):
        return all(_is_fixed(value, fixed) for value in (test.left, *test.comparators))
    if isinstance(test, ast.Tuple | ast.List):
        return all(_is_fixed(value, fixed) for value in test.elts)
    if isinstance(test, ast.Attribute | ast.Name):
        return (test.attr if isinstance(test, ast.Attribute) else test.id).lstrip("_") in fixed
    return isinstance(test, ast.Constant)


def _only_refuses(node: ast.AST, caught: set[str]) -> bool:
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and all(_is_refusal(inner, caught) for inner in node.body)
    )


def _is_refusal(node: ast.AST, caught: set[str]) -> bool:
    """Whether a statement ends the run with an error that nothing which may call it catches."""
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    name = error.attr if isinstance(error, ast.Attribute) else getattr(error, "id", "")
    return name.endswith(("Error", "Missing")) and not caught & {
        name,
        "Exception",
        "BaseException",
        "OSError",
    }


def _own(node: ast.AST) -> ast.AST:
    """A statement without its blocks, as text for a search."""
    if isinstance(node, ast.If | ast.While):
        return node.test
    if isinstance(node, ast.For):
        return node.iter
    if isinstance(
        node, ast.With | ast.Try | ast.Match | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    ):
        return ast.Pass()
    return node if isinstance(node, ast.stmt) else ast.Pass()


def _is_jump(name: str) -> bool:
    """Whether an instruction goes one way or the other, as a value is true or false: not the end of a `for`."""
    return "JUMP" in name and "_IF_" in name


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
