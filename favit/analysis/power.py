"""The number of seeds that would settle a difference, with the uncertainty of its spread.

A plan made from the spread of three seeds is a plan made from a guess: by chance the spread seen is half of the
true one in a fifth of all cases, and a number of seeds that takes it at its word has far less power than it says.
So the power promised is the expected one (Julious & Owen 2006, "Sample size calculations for clinical studies
allowing for uncertainty about the variance"): with ``k`` degrees of freedom behind the spread ``s^2``

    sigma^2 = k s^2 / chi2_k          the true spread, given the one seen
    reject  = |d| >= half-width       d ~ N(difference, sigma^2 / n + V_example), half-width as in the tables

averaged over both the true spread and the spread that the n seeds will show. For a spread that is known this is the
non-central t. Simulated at a promise of 80 %, with plans from 3 and from 5 seeds (benchmarks/bench_statistics.py):
79 to 92 % (seeds are whole numbers), where plans that take the spread at its word have 58 to 81 %.

The promise is for new seeds. Whoever adds them to those that made the plan and tests all of them again has looked
twice: where there is no difference, some star follows in 6 to 7 % of cases in place of 5 (the same simulation).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from favit.analysis.statistics import Difference, quantile, welch_df

MOST_SEEDS = 1000
"""Where the search for a sufficient number of seeds ends."""

_LEVELS = (np.arange(32) + 0.5) / 32
"""Where the distribution of a spread is looked at: the middles of 32 equal parts of its probability."""


def seeds_to_settle(
    difference: Difference, comparisons: int, alpha: float = 0.05, promised: float = 0.8
) -> float:
    """Seeds a mechanism in all that would settle a difference of the size seen, whatever its spread truly is.

    Settled means: rejected at ``alpha / comparisons`` (Holm's first step) with the power ``promised``. ``inf``: no
    number of seeds, or none up to `MOST_SEEDS`; ``nan``: the spread is not known.
    """
    if difference.low is None or difference.models_only:
        return math.nan
    if not difference.seed_variances:
        return math.inf  # neither side is trained

    def enough(seeds: int) -> bool:
        return expected_power(difference, seeds, alpha / comparisons) >= promised

    too_few, sufficient = 1, 2
    while not enough(sufficient):
        if sufficient == MOST_SEEDS:
            return math.inf
        too_few, sufficient = sufficient, min(2 * sufficient, MOST_SEEDS)
    while sufficient - too_few > 1:
        middle = (too_few + sufficient) // 2
        too_few, sufficient = (too_few, middle) if enough(middle) else (middle, sufficient)
    return float(sufficient)


def expected_power(difference: Difference, seeds: int, alpha: float) -> float:
    """The probability that ``seeds`` new seeds per mechanism reject at ``alpha`` if the difference is that observed."""
    seen = sum(difference.seed_variances)
    df = (seeds - 1) * welch_df(difference.seed_variances, (1,) * len(difference.seed_variances))
    true = seen / _scaled_chi2(difference.seed_df)[:, None]  # (32, 1) spreads that may be behind the one seen
    found = true * _scaled_chi2(df)  # (32, 32) and what these seeds may show of each
    example = 0.0 if difference.example_df is None else quantile(alpha, difference.example_df) ** 2
    half = np.sqrt(quantile(alpha, df) ** 2 * found / seeds + example * difference.example_variance)
    deviation = np.sqrt(true / seeds + difference.example_variance)
    size = abs(difference.estimate)
    with np.errstate(divide="ignore", invalid="ignore"):
        rejected = special.ndtr((size - half) / deviation) + special.ndtr((-size - half) / deviation)
    return float(np.mean(rejected))


@lru_cache(maxsize=1024)
def _scaled_chi2(df: float) -> Any:
    """Quantiles (32,) of an estimated variance in units of the true one: chi2_df / df."""
    return special.gammaincinv(df / 2, _LEVELS) * 2 / df
