"""Each row against the baseline: which runs pair, on which examples, and what follows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

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
    baseline = _measure(cells[spec.baseline], spec.task)
    found: dict[str, dict[str, Difference]] = {}
    for row_id, runs in cells.items():
        if row_id != spec.baseline:
            measured = _measure(runs, spec.task)
            shared = measured.keys() & baseline.keys()
            found[row_id] = {metric: _compare(measured[metric], baseline[metric]) for metric in shared}
    return found


@dataclass(frozen=True)
class _Measured:
    """One metric of one row, seeds in the order of their randomness.

    randomness: of each seed; None where a seed names none or two name the same: nothing pairs with that.
    order: of the test examples; None where a run has no predictions, or its test set is another.
    """

    sample: Sample
    randomness: tuple[Hashable, ...] | None
    order: Hashable

    def among(self, shared: Sequence[Hashable] | None, with_examples: bool) -> Sample:
        """The seeds of these randomnesses, in their order; all seeds for None."""
        examples = self.sample.examples if with_examples else None
        if shared is None or tuple(shared) == self.randomness:
            return Sample(self.sample.scores, examples)
        assert self.randomness is not None
        at = [self.randomness.index(key) for key in shared]
        return Sample(self.sample.scores[at], None if examples is None else examples[at])


def _measure(runs: Sequence[RunResult], task: str) -> dict[str, _Measured]:
    """Metric -> scores and examples of the runs that have that score; without metrics that none has."""
    counted = [(run, _examples(run, task)) for run in sorted(runs, key=lambda run: repr(run.randomness))]
    measured = {}
    for metric in METRICS[task]:
        scored = [(run, examples) for run, examples in counted if run.score(metric.key) is not None]
        if not scored:
            continue
        scores = np.array([run.score(metric.key) for run, _ in scored], dtype=float)
        orders = {examples.order for _, examples in scored}
        order = orders.pop() if len(orders) == 1 else None
        by_example = None
        if order is not None:
            stacked = np.stack([examples.scores[metric.key] for _, examples in scored])
            by_example = stacked * metric.per_example
        keys = tuple(run.randomness for run, _ in scored)
        distinct = None not in keys and len(set(keys)) == len(keys)
        measured[metric.key] = _Measured(Sample(scores, by_example), keys if distinct else None, order)
    return measured


def _examples(run: RunResult, task: str) -> Examples:
    """A run's scores by example, by block where examples are windows; nothing where they are not known."""
    if run.predictions is None or not run.counts or not run.predictions.exists():
        return Examples()
    examples = load_examples(run.predictions, task)
    if task == "classification":
        return examples
    horizon = int((run.metrics or {}).get("run", {}).get("horizon", 1))
    blocks = {
        metric: block_means(errors[None].astype(float), block_length(horizon, len(errors)))[0]
        for metric, errors in examples.scores.items()
    }
    return Examples(blocks, examples.order)


def _compare(a: _Measured, b: _Measured) -> Difference:
    """Paired over the seeds whose randomness both rows have, where these are two or more; else all, unpaired.

    Examples count only if they are the same ones.
    """
    known = a.order is not None and a.order == b.order
    shared = sorted(set(a.randomness or ()) & set(b.randomness or ()), key=repr)
    if len(shared) < 2:
        return compare(a.among(None, known), b.among(None, known), paired=False)
    difference = compare(a.among(shared, known), b.among(shared, known), paired=True)
    return replace(difference, left_out=len(a.sample.scores) + len(b.sample.scores) - 2 * len(shared))


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
