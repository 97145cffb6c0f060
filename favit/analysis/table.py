"""A table's description and its content, before any format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from favit.analysis.results import METRICS, Metric
from favit.analysis.statistics import Difference
from favit.sweeps.published import Published

GroupKey = tuple[Any, ...]


@dataclass(frozen=True)
class Row:
    """One row, usually one mechanism.

    reference: names a ``row`` of ``published.csv``.
    values: what tells this row from others besides its mechanism, where that is no group: its model, say.
    """

    id: str
    label: str
    reference: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """The description of a sweep's table.

    task: ``classification`` or ``forecasting``.
    rows: in the order in which they are shown.
    baseline: id of the row that all others are compared with, within each group.
    group_by: what separates the blocks of the table: keys of ``RunResult.group``.
    groups: the blocks in order, each a mapping of ``group_by``; others follow, sorted.
    caption, label: plain text, escaped where needed; the label is that of LaTeX's ``\\ref``.
    pairing: which seeds of two rows are paired, see favit.analysis.comparisons.
    head: what rows are, above their labels.
    recipe: what the runs were trained with, in words; against_published: how that relates to published values.
    rounds: first and last number of seeds at which rows are looked at, None where all are there from the start;
        margin: within which a difference is none, see favit.analysis.looks.
    """

    name: str
    caption: str
    label: str
    task: str
    rows: tuple[Row, ...]
    baseline: str | None = None
    group_by: tuple[str, ...] = ("dataset", "model")
    groups: tuple[Mapping[str, Any], ...] = ()
    pairing: str = "auto"
    head: str = ""
    recipe: str = ""
    against_published: str = ""
    rounds: tuple[int, int] | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.task not in METRICS:
            raise ValueError(f"unknown task {self.task!r} of table {self.name}; valid: {', '.join(METRICS)}")
        ids = [row.id for row in self.rows]
        if self.baseline is not None and self.baseline not in ids:
            raise ValueError(
                f"unknown baseline {self.baseline!r} of table {self.name}; valid: {', '.join(ids)}"
            )

    def key(self, group: Mapping[str, Any]) -> GroupKey:
        """A group as a tuple, in the order of ``group_by``."""
        return tuple(group.get(name) for name in self.group_by)


@dataclass(frozen=True)
class Cost:
    """Size of a model: parameters and multiply-accumulates of one input.

    params_1000: parameters with a 1,000-class head, as image models are published; None elsewhere.
    """

    params: int
    macs: int
    params_1000: int | None = None


@dataclass(frozen=True)
class Score:
    """One metric of one row: over its counted seeds, against the baseline and against the published value.

    place: 1 for the best of its group, 2 for the second, else 0.
    p: corrected over the comparisons of the group, by Holm or for all looks, see favit.analysis.comparisons.
    more_seeds: to settle a difference of the size seen; 0 if settled, inf if seeds cannot, None if unknown.
    """

    metric: Metric
    values: tuple[float, ...] = ()
    best_epoch: tuple[float, ...] = ()
    difference: Difference | None = None
    p: float | None = None
    more_seeds: float | None = None
    published: Published | None = None
    place: int = 0

    @property
    def n(self) -> int:
        """Seeds averaged."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Mean over seeds."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation over seeds; None below two."""
        return float(np.std(self.values, ddof=1)) if self.n > 1 else None

    @property
    def minus_published(self) -> float | None:
        """Ours minus published."""
        return None if self.mean is None or self.published is None else self.mean - self.published.value

    @property
    def significant(self) -> bool:
        """The difference to the baseline holds at 5 % after Holm's correction."""
        return self.p is not None and self.p < 0.05


@dataclass(frozen=True)
class Line:
    """One row within one group.

    states: counts the runs asked for. notes: become footnotes. exact: not trained, one run whatever the seeds.
    """

    row: Row
    scores: Mapping[str, Score]
    states: Mapping[str, int]
    cost: Cost | None = None
    published_params: Published | None = None
    published_flops: Published | None = None
    notes: tuple[str, ...] = ()
    exact: bool = False

    @property
    def params_minus_published(self) -> float | None:
        """Millions of parameters, both with a head of 1,000 classes."""
        if self.cost is None or self.cost.params_1000 is None or self.published_params is None:
            return None
        return self.cost.params_1000 / 1e6 - self.published_params.value

    @property
    def averaged(self) -> int:
        """Runs that entered the scores."""
        return max((score.n for score in self.scores.values()), default=0)

    @property
    def asked(self) -> int:
        """Runs that the sweep asks for."""
        return sum(self.states.values())


@dataclass(frozen=True)
class Group:
    """One block of the table."""

    key: Mapping[str, Any]
    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Table:
    """A finished table, independent of its format."""

    spec: TableSpec
    groups: tuple[Group, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines, group after group."""
        return tuple(line for group in self.groups for line in group.lines)

    @property
    def averaged(self) -> int:
        """Runs that entered the table."""
        return sum(line.averaged for line in self.lines)

    @property
    def asked(self) -> int:
        """Runs that the sweep asks for."""
        return sum(line.asked for line in self.lines)

    @property
    def partial(self) -> bool:
        """Whether some run is missing, running or stale. (A diverged run is finished.)"""
        return self.asked == 0 or any(
            line.states[s] for line in self.lines for s in ("missing", "running", "stale")
        )
