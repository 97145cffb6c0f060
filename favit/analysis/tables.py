"""From the results of a sweep to its table.

    table = make(spec, results, costs)
    write(table, Path("results/tables"), "cifar100-aggregators")     # .csv, .tex and .md

``make`` does the arithmetic and never looks at the order of its results; ``write`` (favit.analysis.render)
turns the outcome into text. Runs that are not finished or no longer valid are counted in footnotes, never
averaged, so a table can be made of a sweep that has not begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from favit.analysis.comparisons import corrected, differences
from favit.analysis.looks import replay, sentence
from favit.analysis.names import group_title
from favit.analysis.notes import remarks
from favit.analysis.render import write
from favit.analysis.results import METRICS, Metric, RunResult
from favit.analysis.table import Cost, Group, GroupKey, Line, Row, Score, Table, TableSpec
from favit.sweeps import published
from favit.sweeps.published import Published

__all__ = ["Cost", "Group", "Line", "Row", "RunResult", "Score", "Table", "TableSpec", "make", "write"]


def make(
    spec: TableSpec,
    results: Sequence[RunResult],
    costs: Mapping[tuple[GroupKey, str], Cost | None] | None = None,
    notes: Mapping[tuple[GroupKey, str], Sequence[str]] | None = None,
) -> Table:
    """Aggregate runs to a table.

    results: every run that the sweep asks for, whatever its state, in any order.
    costs: by (``spec.key(group)``, row id). Rows without are shown without.
    notes: what a reader must know of a row besides, by the same.

    Raises ``ValueError`` for a run of an unknown row, and for two counted runs of one row, group and seed.
    """
    by_place = _by_place(spec, results)
    groups = []
    for key, mapping in _groups(spec, results).items():
        cells = {row.id: by_place.get((key, row.id), []) for row in spec.rows}
        cells = {row_id: runs for row_id, runs in cells.items() if runs}
        groups.append(_group(spec, mapping, cells, costs or {}, notes or {}))
    titled = [replace(g, title=group_title(g.key, [other.key for other in groups])) for g in groups]
    return Table(spec, tuple(titled))


def _by_place(spec: TableSpec, results: Sequence[RunResult]) -> dict[tuple[GroupKey, str], list[RunResult]]:
    known = [row.id for row in spec.rows]
    places: dict[tuple[GroupKey, str], list[RunResult]] = {}
    for run in results:
        if run.row_id not in known:
            raise ValueError(
                f"a run of row {run.row_id!r}, which table {spec.name} lacks; valid: {', '.join(known)}"
            )
        places.setdefault((spec.key(run.group), run.row_id), []).append(run)
    for (key, row_id), runs in places.items():
        runs.sort(key=lambda run: (run.seed, run.state, repr(run.randomness)))
        counted = Counter(run.seed for run in runs if run.state in ("valid", "accepted"))
        for seed, times in counted.items():
            if times > 1:
                raise ValueError(f"table {spec.name}: {times} results of seed {seed} for {row_id!r} in {key}")
    return places


def _groups(spec: TableSpec, results: Sequence[RunResult]) -> dict[GroupKey, Mapping[str, Any]]:
    """Groups in the order of the spec, then the others sorted: numbers as numbers, all else as text."""
    found: dict[GroupKey, Mapping[str, Any]] = {
        spec.key(group): {name: group.get(name) for name in spec.group_by} for group in spec.groups
    }
    others = {spec.key(r.group): {name: r.group.get(name) for name in spec.group_by} for r in results}

    def order(key: GroupKey) -> tuple[Any, ...]:
        return tuple((0, v, "") if isinstance(v, int | float) else (1, 0, str(v)) for v in key)

    for key in sorted(others, key=order):
        found.setdefault(key, others[key])
    return found


def _group(
    spec: TableSpec,
    key: Mapping[str, Any],
    cells: Mapping[str, Sequence[RunResult]],
    costs: Mapping[tuple[GroupKey, str], Cost | None],
    notes: Mapping[tuple[GroupKey, str], Sequence[str]],
) -> Group:
    metrics = METRICS[spec.task]
    rows = [row for row in spec.rows if row.id in cells]
    looks = replay(spec, cells) if spec.rounds else None
    if looks is None:
        found, stops = differences(spec, cells), {}
    else:
        cells = {row_id: runs[: looks.seeds(row_id)] for row_id, runs in cells.items()}
        found = {row_id: dict(look.differences) for row_id, look in looks.rows.items()}
        said = {row_id: sentence(spec, look) for row_id, look in looks.rows.items()}
        stops = {row_id: (text,) for row_id, text in said.items() if text}
    place = {row.id: {**key, **row.values, **cells[row.id][0].settings} for row in rows}
    alone = [
        {
            m.key: _score(cells[row.id], m, published.find(place[row.id], row.reference, m.key))
            for m in metrics
        }
        for row in rows
    ]
    design = looks.design if looks else None
    compared = _placed(corrected(metrics, alone, [found.get(row.id, {}) for row in rows], design), metrics)
    scores = {row.id: of_row for row, of_row in zip(rows, compared, strict=True)}
    lines = tuple(
        Line(
            row=row,
            scores=scores[row.id],
            states=Counter(run.state for run in cells[row.id]),
            cost=costs.get((spec.key(key), row.id)),
            published_params=published.find(place[row.id], row.reference, "params"),
            published_flops=published.find(place[row.id], row.reference, "flops"),
            notes=(
                *notes.get((spec.key(key), row.id), ()),
                *stops.get(row.id, ()),
                *remarks(cells[row.id], metrics),
            ),
            exact=all(run.exact for run in cells[row.id]),
        )
        for row in rows
    )
    return Group(key, "", lines)


def _score(runs: Sequence[RunResult], metric: Metric, reference: Published | None) -> Score:
    counted = [run for run in runs if run.score(metric.key) is not None]
    best = [(run.metrics or {}).get("best", {}) for run in counted]
    return Score(
        metric,
        values=tuple(run.score(metric.key) or 0.0 for run in counted),
        best_epoch=tuple(b[metric.key] for b in best if b.get("selected_on") == "test" and metric.key in b),
        published=reference,
    )


def _placed(rows: Sequence[dict[str, Score]], metrics: Sequence[Metric]) -> list[dict[str, Score]]:
    """Mark best and second of each metric (all, where some are equal); one alone is not the best of anything."""
    placed = [dict(row) for row in rows]
    for metric in metrics:
        means = [row[metric.key].mean for row in rows]
        distinct = sorted({m for m in means if m is not None}, reverse=metric.higher_is_better)
        if len(distinct) < 2:
            continue
        places = {distinct[0]: 1, distinct[1]: 2} if len(distinct) > 2 else {distinct[0]: 1}
        for row, mean in zip(placed, means, strict=True):
            row[metric.key] = replace(row[metric.key], place=0 if mean is None else places.get(mean, 0))
    return placed
