"""Each row against the baseline: which runs pair, on which examples, and what follows.

Seeds of two rows may be paired where they share their randomness by construction: same settings but for the
mechanism, so the same order of data, augmentation and initial values. Pairing is exact whatever the correlation of
the scores, and it halves the degrees of freedom: it pays only where the correlation is high enough. That cannot be
seen in a few seeds, and a choice made after seeing them would not cover what it claims. So it is made beforehand,
by the number of shared seeds. Simulated (benchmarks/bench_statistics.py), at 95 %; correlations that are shared
randomness are not negative, and then seeds taken as unpaired cover at least what they claim:

    shared seeds                         3      4      5      6      8      12
    width, paired / unpaired, corr. 0    1.26   1.17   1.12   1.10   1.07   1.04
                              corr. 0.2  1.13   1.05   1.01   0.99   0.96   0.93
                              corr. 0.5  0.92   0.85   0.81   0.78   0.76   0.74
    coverage of paired                   95     95     95     95     95     95     (any correlation)
    coverage of unpaired,     corr. 0    96     96     96     96     95     95
                              corr. 0.5  99     99     99     99     99     99

From six seeds on pairing costs at most a tenth of the width and pays from a correlation of a fifth on: there
``auto`` begins, unless more than a tenth of the two rows' seeds have no partner and would be left out. A sweep whose
author expects more from the start says ``table.pairing: paired``.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from favit.analysis.power import seeds_to_settle
from favit.analysis.results import METRICS, Examples, Metric, RunResult, load_examples
from favit.analysis.sequential import Design
from favit.analysis.statistics import Difference, Sample, block_length, block_means, compare, holm
from favit.analysis.table import Score, TableSpec

_PAIRED_FROM: Mapping[str, float] = {"auto": 6, "paired": 2, "unpaired": math.inf}
_MOST_LEFT_OUT: Mapping[str, float] = {"auto": 0.1, "paired": 1.0, "unpaired": 0.0}


def pairs(pairing: str, shared: int, seeds: int) -> bool:
    """Whether two rows are paired that have ``seeds`` seeds together and ``shared`` of each in common."""
    left_out = seeds - 2 * shared
    return shared >= _PAIRED_FROM[pairing] and left_out <= _MOST_LEFT_OUT[pairing] * seeds


def differences(
    spec: TableSpec, cells: Mapping[str, Sequence[RunResult]], confidence: float = 0.95
) -> dict[str, dict[str, Difference]]:
    """Row id -> metric -> difference to the baseline. Predictions are read once, a row at a time."""
    if spec.baseline is None or spec.baseline not in cells:
        return {}
    baseline = _measure(cells[spec.baseline], spec.task)
    found: dict[str, dict[str, Difference]] = {}
    for row_id, runs in cells.items():
        if row_id != spec.baseline:
            measured = _measure(runs, spec.task)
            shared = measured.keys() & baseline.keys()
            found[row_id] = {
                metric: _compare(measured[metric], baseline[metric], spec.pairing, confidence)
                for metric in shared
            }
    return found


@dataclass(frozen=True)
class _Measured:
    """One metric of one row, seeds in the order of their randomness.

    randomness: of each seed; None if a seed names none or two name the same: nothing pairs with that.
    order: of the test examples; None if a run has no predictions, or its test set is another.
    """

    sample: Sample
    randomness: tuple[Hashable, ...] | None
    order: Hashable

    def among(self, shared: Sequence[Hashable] | None, with_examples: bool) -> Sample:
        """The seeds of these randomnesses, in their order; all seeds for None."""
        examples = self.sample.examples if with_examples else None
        if shared is None or tuple(shared) == self.randomness:
            return Sample(self.sample.scores, examples, self.sample.exact)
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
        order, by_example = orders.pop() if len(orders) == 1 else None, None
        if order is not None:
            stacked = np.stack([examples.scores[metric.key] for _, examples in scored]) * metric.per_example
            by_example = stacked if np.isfinite(stacked).all() else None
        keys = tuple(run.randomness for run, _ in scored)
        distinct = None not in keys and len(set(keys)) == len(keys)
        order = None if by_example is None else order
        exact = all(run.exact for run, _ in scored)
        measured[metric.key] = _Measured(
            Sample(scores, by_example, exact), keys if distinct and not exact else None, order
        )
    return measured


def _examples(run: RunResult, task: str) -> Examples:
    """A run's scores by example, by block where examples are windows; nothing if they are not known."""
    if run.predictions is None or not run.counts or not run.predictions.exists():
        return Examples()
    horizon = int((run.metrics or {}).get("run", {}).get("horizon", 1))
    return _loaded(run.predictions, run.predictions.stat().st_mtime_ns, task, horizon)


@lru_cache(maxsize=512)
def _loaded(predictions: Path, changed: int, task: str, horizon: int) -> Examples:
    """Read once for all looks at a row (favit.analysis.looks)."""
    examples = load_examples(predictions, task)
    if task == "classification":
        return examples
    blocks = {
        metric: block_means(errors[None].astype(float), block_length(horizon, len(errors)))[0]
        for metric, errors in examples.scores.items()
    }
    return Examples(blocks, examples.order)


def _compare(a: _Measured, b: _Measured, pairing: str, confidence: float) -> Difference:
    """Paired over the seeds whose randomness both rows have, where these are enough; else all, unpaired.

    Examples count only if they are the same ones.
    """
    known = a.order is not None and a.order == b.order
    shared = sorted(set(a.randomness or ()) & set(b.randomness or ()), key=repr)
    seeds = len(a.sample.scores) + len(b.sample.scores)
    if not pairs(pairing, len(shared), seeds):
        return compare(a.among(None, known), b.among(None, known), paired=False, confidence=confidence)
    difference = compare(a.among(shared, known), b.among(shared, known), paired=True, confidence=confidence)
    return replace(difference, left_out=seeds - 2 * len(shared))


def corrected(
    metrics: Sequence[Metric],
    scores: Sequence[Mapping[str, Score]],
    found: Sequence[Mapping[str, Difference]],
    design: Design | None = None,
) -> list[dict[str, Score]]:
    """Add differences to the scores of a block's rows, with corrected p-values and the seeds that would settle each.

    A block's stars are one family: all of its rows in all headline metrics. Whoever reads a gain off a block picks
    the metric that shows it. Simulated (benchmarks/bench_statistics.py), of blocks without any difference 2 to 5 %
    have a star; were each metric corrected for itself, 4 to 6 % at three seeds and 7 to 10 % at ten.
    Metrics without stars are a family each. Blocks and tables are not corrected for one another: what is reported
    together is not known here, and the caption says so. Where rows were looked at again and again, the design of these
    looks corrects for all of it.
    """
    result = [dict(row) for row in scores]
    if design is not None:
        for line, differences_of_row in zip(result, found, strict=True):
            for key, difference in differences_of_row.items():
                p = None if difference.p is None else design.p_value(difference.p)
                line[key] = replace(line[key], difference=difference, p=p)
        return result
    starred = [metric.key for metric in metrics if metric.headline]
    for family in [starred, *([metric.key] for metric in metrics if not metric.headline)]:
        places = [(i, key) for i, row in enumerate(found) for key in family if key in row]
        known = [place for place in places if _difference(found, place).p is not None]
        adjusted = dict(
            zip(known, holm([_difference(found, place).p or 0.0 for place in known]), strict=True)
        )
        for place in places:
            row, key = place
            p, difference = adjusted.get(place), _difference(found, place)
            more = _more_seeds(difference, p, len(known))
            result[row][key] = replace(result[row][key], difference=difference, p=p, more_seeds=more)
    return result


def _difference(found: Sequence[Mapping[str, Difference]], place: tuple[int, str]) -> Difference:
    row, key = place
    return found[row][key]


def _more_seeds(difference: Difference, p: float | None, comparisons: int) -> float | None:
    if p is None:
        return None
    if p < 0.05:
        return 0.0
    return max(1.0, seeds_to_settle(difference, comparisons) - difference.seeds)
