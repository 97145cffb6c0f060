"""Before training: the difference that a sweep can detect, and the seeds that a smaller one needs.

Two rows of n seeds each, whose scores deviate by s between seeds, are told apart by a t test with 2 (n - 1) degrees
of freedom; a difference d is found with probability

    P(|T| > t(level)),    T ~ noncentral t, 2 (n - 1) degrees of freedom, noncentrality d / (s sqrt(2 / n))

(Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2). Where their seeds will be paired
(``favit.analysis.comparisons``) the test has n - 1 degrees of freedom and the same noncentrality: how far the scores of
a pair correlate is not known before, and correlation only finds more. ``level`` is 5 % shared out over
the comparisons of a block (Holm's first step), or that of the last look where rows are looked at after each seed.
What test examples add is left out: more seeds do not change it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from favit.analysis.comparisons import pairs
from favit.analysis.results import METRICS, Metric
from favit.analysis.sequential import ALPHA
from favit.analysis.statistics import quantile

POWER = 0.8
MOST_SEEDS = 1000

GUESSED = {"classification": 0.3, "forecasting": 0.02}
"""Deviations between seeds where nothing is known, in the unit of the table's first metric."""


@dataclass(frozen=True)
class Spread:
    """The standard deviation of scores between seeds, from ``runs`` runs; 0 for a guess."""

    deviation: float
    runs: int = 0


def spread_of(results: Iterable[Mapping[str, Any]], dataset: str, model: str, task: str) -> Spread | None:
    """The deviation between seeds in finished results of a data set and model, pooled over what else they differ in.

    results: contents of ``metrics.json``. None where no two of them differ by their seed alone.
    """
    metric = METRICS[task][0].key
    scores: dict[tuple[Any, ...], dict[Any, float]] = defaultdict(dict)
    for content in results:
        run, score = content["run"], content.get("metrics", {}).get(metric)
        if run.get("dataset") == dataset and run.get("model") == model and score is not None:
            rest = tuple(sorted((key, value) for key, value in run.items() if key != "seed"))
            scores[rest][run.get("seed")] = float(score)
    several = [list(of.values()) for of in scores.values() if len(of) > 1]
    if not several:
        return None
    squares = sum(float(np.var(of, ddof=1)) * (len(of) - 1) for of in several)
    return Spread(math.sqrt(squares / sum(len(of) - 1 for of in several)), sum(map(len, several)))


def probability(difference: float, deviation: float, seeds: int, level: float, paired: bool = False) -> float:
    """With which a difference is found at ``level`` by ``seeds`` of either row."""
    df = seeds - 1 if paired else 2 * (seeds - 1)
    away = difference / (deviation * math.sqrt(2 / seeds))
    # Averaged over the spread that the seeds may show; the noncentral t of scipy.special is NaN far out.
    edge = float(quantile(level, df)) * np.sqrt(2 * special.gammaincinv(df / 2, _LEVELS) / df)
    return float(np.mean(special.ndtr(away - edge) + special.ndtr(-away - edge)))


def _are_paired(pairing: str, seeds: int) -> bool:
    """Whether two rows of the same ``seeds`` seeds are."""
    return pairs(pairing, seeds, 2 * seeds)


_LEVELS = (np.arange(4096) + 0.5) / 4096
"""Where the distribution of a spread is looked at."""


def detectable(deviation: float, seeds: int, level: float, pairing: str = "unpaired") -> float:
    """The difference that is found with probability `POWER`; ``inf`` for one seed. pairing: of the table."""
    if seeds < 2:
        return math.inf
    if deviation == 0:
        return 0.0
    paired = _are_paired(pairing, seeds)
    most = 2 * float(quantile(level, seeds - 1)) + 10

    def excess(units: float) -> float:
        return probability(units * math.sqrt(2 / seeds), 1.0, seeds, level, paired) - POWER

    return float(optimize.brentq(excess, 0.0, most, xtol=1e-6)) * math.sqrt(2 / seeds) * deviation


def seeds_for(difference: float, deviation: float, level: float, pairing: str = "unpaired") -> int | None:
    """The least seeds of a row that find a difference with probability `POWER`; None above `MOST_SEEDS`."""

    def found(seeds: int) -> bool:
        paired = _are_paired(pairing, seeds)
        return not deviation or probability(difference, deviation, seeds, level, paired) >= POWER

    # One after another where a seed more may find less, as it makes pairs of them
    for seeds in range(2, _FEW):
        if found(seeds):
            return seeds
    if not found(MOST_SEEDS):
        return None
    too_few, enough = _FEW - 1, MOST_SEEDS
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if found(middle):
            enough = middle
        else:
            too_few = middle
    return enough


_FEW = 10
"""Seeds from which on more of them find more, whatever the pairing."""


def level_of(comparisons: int) -> float:
    """At which each of so many comparisons is tested first."""
    return ALPHA / max(1, comparisons)


def least_p(seeds: int) -> float:
    """The smallest p-value of a sign-flip test of paired seeds, which assumes nothing of how scores vary."""
    return 2.0 ** (1 - seeds)


def sentences(
    metric: Metric,
    where: str,
    seeds: int,
    rows: int,
    spread: Spread,
    level: float,
    hours: float | None,
    stated: bool,
    pairing: str = "unpaired",
) -> Iterator[str]:
    """The lines of a plan: what a block of ``rows`` rows can detect, the cost of half of it, the limits of few seeds.

    hours: of a run's devices, None where nobody knows. stated: the spread is a person's. pairing: of the table.
    """
    unit = f" {metric.difference_unit}" if metric.difference_unit else ""
    known = (
        f"of {spread.runs} earlier runs"
        if spread.runs
        else "as given"
        if stated
        else "a guess; set another with --deviation"
    )
    given = f"if the standard deviation between seeds is {spread.deviation:.2g}{unit} ({known})"
    found = detectable(spread.deviation, seeds, level, pairing)
    pairs_of_seeds = ", paired: less where scores of a pair correlate" if _are_paired(pairing, seeds) else ""
    if math.isinf(found):
        yield f"  detects: nothing beyond the seed trained, as rows have only one ({where})"
    else:
        yield (
            f"  detects: a difference in {metric.label} of {found:.2g}{unit} with {POWER:.0%} probability, {given}; "
            f"{seeds} seeds per row{pairs_of_seeds}, {where}"
        )
        more = seeds_for(found / 2, spread.deviation, level, pairing) if found else None
        if more is not None:
            runs = (more - seeds) * rows
            cost = "" if hours is None else f", {runs * hours:,.1f} device hours"
            yield f"  to detect half of that: {more} seeds per row, {runs} more runs{cost}"
    if least_p(seeds) > ALPHA:
        yield (
            f"  {seeds} seed{'s' if seeds > 1 else ''} can rarely settle anything: a sign-flip test of {seeds} has "
            f"p >= {least_p(seeds):.2g} whatever the scores"
        )
