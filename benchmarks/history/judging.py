"""Judges each pair of successive commits by today's analyser, and holds that against the table."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.history.commits import NEUTRAL, Layout, layout_of, named, task_of, without_life
from benchmarks.history.table import Row, Table
from benchmarks.history.training import Segment, digest, segments, states
from favit.identity.closure import Reader

Names = Mapping[str, Mapping[str, str]]  # digests of definitions, by module


@dataclass(frozen=True)
class Judged:
    """A run's code at one commit: by whole files, all that its job executes; by definitions, its numbers alone."""

    files: str
    definitions: str
    names: Names


@dataclass(frozen=True)
class Case:
    """One run at one pair of successive commits."""

    commit: str  # the later one
    run: str
    by_files: bool  # whether the rule of whole files retrains it
    by_definitions: bool
    bits: str  # "same", "changed", or why that is not known
    not_executed: tuple[str, ...] = ()  # changed definitions that the few steps did not execute


class Analyser:
    """Digests the code of runs in checkouts; ``scratch`` holds copies without what cannot change a number."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        try:
            self._sources = importlib.import_module("favit.identity.definitions").Sources
        except ModuleNotFoundError:  # an analyser that digests whole modules
            self._sources = None
        self._known: dict[tuple[Path, tuple[str, ...]], Judged] = {}
        self._same_files: dict[tuple[Any, ...], tuple[str, Names]] = {}
        self._open: dict[tuple[type, Path], Any] = {}

    def judge(self, checkout: Path, layout: Layout, run: Mapping[str, Any]) -> Judged:
        """A run's code there."""
        names, task = named(checkout, run), task_of(run)
        program = (*(root.format(task=task) for root in layout.program), *names)
        numbers = (*(root.format(task=task) for root in layout.numbers), *names)
        if (checkout, program) not in self._known:
            alone = without_life(checkout, layout, self._scratch)
            files = self._reader(Reader, checkout).closure(program).digest
            self._known[checkout, program] = Judged(files, *self._numbers(alone, numbers))
        return self._known[checkout, program]

    def _numbers(self, checkout: Path, roots: tuple[str, ...]) -> tuple[str, Names]:
        """Digest and definitions of what decides numbers; equal files are digested once."""
        reader = self._reader(Reader, checkout)
        whole = reader.closure(roots)
        key = (roots, *((name, digest([reader.file_of(name)])) for name in whole.modules))
        if key not in self._same_files:
            code = self._reader(self._sources, checkout).code(roots) if self._sources else whole
            self._same_files[key] = code.digest, code.definitions()
        return self._same_files[key]

    def _reader(self, kind: Any, root: Path) -> Any:
        if (kind, root) not in self._open:
            self._open[kind, root] = kind(root=root)
        return self._open[kind, root]


def cases(
    table: Table, commits: Sequence[str], checkouts: Sequence[Path], runs: Mapping[str, Any], scratch: Path
) -> Iterator[Case]:
    """Each run at each pair of successive commits at both of which it can be resolved."""
    analyser = Analyser(scratch)
    own = segments(table, commits, checkouts, runs)
    known = {
        name: states(parts, lambda s, name=name: table.rows.get((commits[s.first], name)))
        for name, parts in own.items()
    }
    layouts = [layout_of(checkout) for checkout in checkouts]
    for place in range(1, len(commits)):
        before, now = layouts[place - 1], layouts[place]
        if before is None or now is None:
            continue
        for name, run in runs.items():
            i, k = (_at(own[name], p) for p in (place - 1, place))
            then, after = own[name][i].settings, own[name][k].settings
            if then is None or after is None:
                continue
            if i == k:  # neither files nor settings differ
                yield Case(commits[place], name, False, False, "same")
                continue
            old = analyser.judge(checkouts[place - 1], before, run)
            new = analyser.judge(checkouts[place], now, run)
            again = old.definitions != new.definitions or {**NEUTRAL, **then} != {**NEUTRAL, **after}
            executed = _executed(table, own[name], commits, name, (i, k)) if again else set()
            yield Case(
                commits[place],
                name,
                old.files != new.files or then != after,
                again,
                _bits(known[name][i], known[name][k]),
                _not_executed(old.names, new.names, executed) if again else (),
            )


def _at(own: Sequence[Segment], place: int) -> int:
    return max(i for i, segment in enumerate(own) if segment.first <= place)


def _bits(before: Row | None, now: Row | None) -> str:
    if before is None or now is None:
        return "not trained yet"
    for row in (before, now):
        if row.failed:
            return row.failed
    return "same" if before.bits == now.bits else "changed"


def _executed(
    table: Table, own: Sequence[Segment], commits: Sequence[str], run: str, places: tuple[int, int]
) -> set[str]:
    """What the trainings nearest to two segments executed, on either side of them and between."""
    trained = [(i, table.rows.get((commits[s.first], run))) for i, s in enumerate(own)]
    there = [(i, row) for i, row in trained if row is not None]
    low = max((i for i, _ in there if i <= places[0]), default=0)
    high = min((i for i, _ in there if i >= places[1]), default=len(own))
    return set().union(*(table.executed(row) for i, row in there if low <= i <= high))


def _not_executed(old: Names, new: Names, executed: set[str]) -> tuple[str, ...]:
    """Functions that differ between two codes and were not executed; what stands outside of functions always is."""
    moved = _entries(old) & _entries(new)
    modules = {name.partition(":")[0] for name in executed if name.endswith(":<module>")}
    found = []
    for module in sorted({*old, *new}):
        then, now = old.get(module, {}), new.get(module, {})
        short = module.removeprefix("favit").removeprefix(".")
        loaded = {short or "__init__", f"{short}.__init__"} & modules
        for name in sorted({*then, *now}):
            if {(name, digest) for digest in (then.get(name), now.get(name)) if digest} <= moved:
                continue
            places = [f"{short}:{name}", f"{short}.__init__:{name}"]
            if not any(place in executed for place in places) and (_is_function(name) or not loaded):
                found.append(f"{module}.{name}")
    return tuple(found)


def _entries(names: Names) -> set[tuple[str, str]]:
    return {entry for entries in names.values() for entry in entries.items()}


def _is_function(name: str) -> bool:
    """Whether a definition's name is one of a function, as far as a name tells: constants and classes are not."""
    last = name.rpartition(".")[2]
    return name not in ("imports", "module level") and last.lstrip("_")[:1].islower()


@dataclass
class Summary:
    """Counts over cases."""

    pairs: int = 0
    by_files: Counter[str] = field(default_factory=Counter)  # invalidations by what became of the bits
    by_definitions: Counter[str] = field(default_factory=Counter)
    unproved: int = 0
    finer: int = 0  # retrained by definitions and not by files
    misses: list[Case] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, case: Case) -> None:
        """Count one."""
        bits = case.bits if case.bits in ("same", "changed") else "unknown"
        self.by_files[bits] += case.by_files
        self.by_definitions[bits] += case.by_definitions
        self.finer += case.by_definitions and not case.by_files
        self.unproved += case.by_definitions and bits == "same" and bool(case.not_executed)
        if bits == "unknown" and case.by_files:
            self.reasons[case.bits] += 1
        if bits == "changed" and not case.by_definitions:
            self.misses.append(case)

    def lines(self) -> Iterator[str]:
        """For people."""
        harmless = self.by_files["same"]
        yield f"{self.pairs} pairs of commits"
        for what, counts in (("whole files", self.by_files), ("definitions", self.by_definitions)):
            yield (
                f"by {what}: {counts.total()} runs trained again, of which {counts['changed']} changed bits, "
                f"{counts['same']} did not, {counts['unknown']} are unknown"
            )
        if harmless:
            kept, unproved = self.by_definitions["same"], self.unproved
            yield f"of {harmless} that changed nothing, {kept} ({kept / harmless:.0%}) remain by definitions"
            yield (
                f"of these, {unproved} ({unproved / harmless:.0%} of all) execute not all that changed in the few "
                "steps (an estimate of what a proof leaves)"
            )
        for reason, count in self.reasons.most_common():
            yield f"unknown, {count}: {reason}"
        yield f"misses: {len(self.misses)}"
        yield from (f"  {case.commit} {case.run} changed bits and is judged equal" for case in self.misses)
