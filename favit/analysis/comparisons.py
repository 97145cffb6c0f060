"""Each row against the baseline: which runs pair, on which examples, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from favit.analysis.results import METRICS, Examples, RunResult, load_examples
from favit.analysis.statistics import (
    Difference,
    Sample,
    block_length,
    block_means,
    compare,
    holm,
    seeds_to_settle,
)
from favit.analysis.table import Score, TableSpec


def differences(spec: TableSpec, cells: Mapping[str, list[RunResult]]) -> dict[str, dict[str, Difference]]:
    """Row id -> metric -> difference to the baseline. Predictions are read once, a row at a time."""
    if spec.baseline is None or spec.baseline not in cells:
        return {}
    load = _loader(spec.task)
    baseline = _Measured.of(cells[spec.baseline], load)
    others = [row.id for row in spec.rows if row.id in cells and row.id != spec.baseline]
    found: dict[str, dict[str, Difference]] = {}
    for row_id in others:
        measured = _Measured.of(cells[row_id], load)
        found[row_id] = {}
        for metric in METRICS[spec.task]:
            difference = _compare(measured, baseline, metric.key)
            if difference is not None:
                found[row_id][metric.key] = difference
    return found


def _loader(task: str) -> Callable[[RunResult], Examples | None]:
    def load(run: RunResult) -> Examples | None:
        if run.predictions is None or not run.predictions.exists():
            return None
        examples = load_examples(run.predictions, task)
        if task == "classification":
            return examples
        horizon = int((run.metrics or {}).get("run", {}).get("horizon", 1))
        blocks = {
            k: block_means(v[None].astype(float), block_length(horizon, len(v)))[0]
            for k, v in examples.scores.items()
        }
        return Examples(blocks, examples.order)

    return load


@dataclass(frozen=True)
class _Measured:
    """A row's runs with their examples: what its comparisons need."""

    runs: list[RunResult]
    examples: list[Examples | None]

    @classmethod
    def of(cls, runs: Sequence[RunResult], load: Callable[[RunResult], Examples | None]) -> _Measured:
        counted = [
            r for r in runs if r.state in ("valid", "accepted") and r.metrics is not None and not r.diverged
        ]
        return cls(counted, [load(run) for run in counted])

    def sample(self, metric: str, order: Mapping[Any, int] | None, with_examples: bool) -> Sample:
        """Scores of the runs that have them, sorted as ``order`` says (randomness -> place)."""
        kept = [i for i, run in enumerate(self.runs) if run.score(metric) is not None]
        if order is not None:
            kept.sort(key=lambda i: order[self.runs[i].randomness])
        scores = np.array([self.runs[i].score(metric) for i in kept], dtype=float)
        if not with_examples:
            return Sample(scores)
        chosen = [self.examples[i] for i in kept]
        return Sample(scores, np.stack([e.scores[metric] for e in chosen if e is not None]).astype(float))

    def randomness(self, metric: str) -> list[Any]:
        return [run.randomness for run in self.runs if run.score(metric) is not None]

    def orders(self, metric: str) -> set[Any]:
        """The test sets met; None stands for a run without predictions."""
        chosen = [e for e, run in zip(self.examples, self.runs, strict=True) if run.score(metric) is not None]
        return {None if e is None or metric not in e.scores else e.order for e in chosen}


def _compare(a: _Measured, b: _Measured, metric: str) -> Difference | None:
    if not a.randomness(metric) or not b.randomness(metric):
        return None
    shared = _shared_order(a.randomness(metric), b.randomness(metric))
    orders = a.orders(metric) | b.orders(metric)
    aligned = len(orders) == 1 and None not in orders
    return compare(
        a.sample(metric, shared, aligned), b.sample(metric, shared, aligned), paired=shared is not None
    )


def _shared_order(a: Sequence[Any], b: Sequence[Any]) -> dict[Any, int] | None:
    """One order for both sides where each run has exactly one partner that shares its randomness."""
    if None in a or len(set(a)) != len(a) or set(a) != set(b) or len(a) != len(b):
        return None
    return {key: place for place, key in enumerate(a)}


def corrected(scores: Sequence[Score], differences: Sequence[Difference | None]) -> list[Score]:
    """Add differences, with p-values corrected over all of them and the seeds that would settle each."""
    known = [d.p for d in differences if d is not None and d.p is not None]
    adjusted = iter(holm(known))
    result = []
    for score, difference in zip(scores, differences, strict=True):
        if difference is None:
            result.append(score)
            continue
        p = None if difference.p is None else next(adjusted)
        result.append(
            replace(score, difference=difference, p=p, more_seeds=_more_seeds(difference, p, len(known)))
        )
    return result


def _more_seeds(difference: Difference, p: float | None, comparisons: int) -> float | None:
    if p is None:
        return None
    if p < 0.05:
        return 0.0
    return max(1.0, seeds_to_settle(difference, comparisons) - difference.seeds)
