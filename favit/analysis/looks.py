"""Sequential tests of rows after each further seed, derived from results alone: when each stops, and with what result.

A row of a block is compared with the baseline after the first ``first`` seeds, then after each further one, always
the same seeds of both, in their order. It is decided at the first look whose interval excludes zero or lies within
the margin of equivalence (favit.analysis.sequential says at which level), on the table's first metric; after ``last``
seeds it ends undecided. What lies beyond its last look does not enter, whoever trained it. A look needs its seeds'
results: where one is missing, stale or failed the row waits there, whatever it had decided before. A run that
diverged is a result without a score: the look is made with the others. A model that is not trained has one result, that
of every seed: it is compared with as many seeds of the baseline as it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from favit.analysis.comparisons import differences
from favit.analysis.results import METRICS, RunResult
from favit.analysis.sequential import Design, verdict
from favit.analysis.statistics import Difference
from favit.analysis.table import TableSpec

DIFFERENT, EQUIVALENT, UNDECIDED, WAITING = "different", "equivalent", "undecided", "waiting"


@dataclass(frozen=True)
class Look:
    """The state of a row.

    seeds: that enter, which are all that are asked for now.
    said: ``different``, ``equivalent``, ``undecided`` (after all seeds that there may be), or ``waiting`` for the
        results of these seeds.
    differences: to the baseline by metric, of the last look that was made.
    trained, against_trained: whether the row and the baseline are, so that seeds are theirs.
    """

    seeds: int
    said: str
    differences: Mapping[str, Difference] = field(default_factory=dict)
    trained: bool = True
    against_trained: bool = True

    @property
    def waits(self) -> bool:
        """Whether results are to come, and perhaps more seeds after them."""
        return self.said == WAITING


@dataclass(frozen=True)
class Looks:
    """A block's rows, without the baseline; ``baseline`` is how many of its seeds enter: as many as the most."""

    rows: Mapping[str, Look]
    baseline: int
    design: Design | None

    def seeds(self, row: str) -> int:
        """The number of a row's seeds that enter."""
        return self.rows[row].seeds if row in self.rows else self.baseline


def design_of(spec: TableSpec, rows: int) -> Design | None:
    """The sequential design of a block of ``rows`` rows with its baseline; None if there is nothing to compare."""
    assert spec.rounds is not None
    headlines = sum(metric.headline for metric in METRICS[spec.task])
    comparisons = (rows - 1) * headlines
    return Design(*spec.rounds, comparisons) if comparisons > 0 else None


def replay(spec: TableSpec, cells: Mapping[str, Sequence[RunResult]]) -> Looks:
    """The looks at a block: row id -> its runs in the order of seeds, of all seeds that there may be or fewer."""
    assert spec.rounds is not None and spec.baseline is not None
    first = spec.rounds[0]
    design = design_of(spec, len(cells))
    if design is None or spec.baseline not in cells:
        return Looks({row: Look(first, WAITING) for row in cells if row != spec.baseline}, first, design)
    baseline = cells[spec.baseline]
    rows = {
        row: _look_at(spec, row, runs, baseline, design)
        for row, runs in cells.items()
        if row != spec.baseline
    }
    return Looks(rows, max(look.seeds for look in rows.values()), design)


def _look_at(
    spec: TableSpec, row: str, runs: Sequence[RunResult], baseline: Sequence[RunResult], design: Design
) -> Look:
    assert spec.baseline is not None
    metric = METRICS[spec.task][0].key
    found: Mapping[str, Difference] = {}
    whose = not _exact(runs), not _exact(baseline)
    for seeds in range(design.first, design.last + 1):
        if not (_all_in(runs, seeds) and _all_in(baseline, seeds)):
            return Look(seeds, WAITING, found, *whose)
        both = {row: runs[:seeds], spec.baseline: baseline[:seeds]}
        found = differences(spec, both, 1 - design.level).get(row, {})
        seen = found.get(metric)
        # Of models alone, where all seeds but one diverged, nothing follows for their mechanisms.
        if seen is not None and not seen.models_only and (said := verdict(seen.low, seen.high, spec.margin)):
            return Look(seeds, said, found, *whose)
    return Look(design.last, UNDECIDED, found, *whose)


def _all_in(runs: Sequence[RunResult], seeds: int) -> bool:
    needed = 1 if _exact(runs) else seeds
    return len(runs) >= needed and all(run.state in ("valid", "accepted") for run in runs[:needed])


def _exact(runs: Sequence[RunResult]) -> bool:
    return all(run.exact for run in runs)


def sentence(spec: TableSpec, look: Look) -> str:
    """When and why a row stopped, for its footnote; empty where neither it nor the baseline is trained."""
    assert spec.rounds is not None
    if not look.trained and not look.against_trained:
        return ""
    metric, (first, last) = METRICS[spec.task][0], spec.rounds
    of = "" if look.trained else "the baseline's first "
    seeds = f"{of}{look.seeds} seeds of up to {last}"
    baseline = (
        f"that of the baseline's first {look.seeds} seeds" if look.against_trained else "the baseline's"
    )
    if not look.trained:
        baseline = "theirs"
    if look.said == DIFFERENT:
        return f"stopped after {seeds}: {metric.label} differs from {baseline}"
    if look.said == EQUIVALENT:
        unit = f" {metric.difference_unit}" if metric.difference_unit else ""
        return f"stopped after {seeds}: {metric.label} is within {spec.margin:g}{unit} of {baseline}"
    if look.said == UNDECIDED:
        return f"undecided after {of}{look.seeds} seeds, the maximum"
    if look.seeds > first:
        return f"undecided after {of}{look.seeds - 1} seeds, {look.seeds} requested"
    return f"{look.seeds} requested" if look.trained else f"waits for the baseline's first {first} seeds"
