"""Differences between two mechanisms: interval, p-value and what they are corrected for.

A score varies for two reasons: the seed it was trained with and the examples it was tested on. Both are
counted. The score of seed ``s`` on example ``e`` is

    x_se = mean + S_s + E_e + I_se    (crossed random effects; Owen 2007, "The pigeonhole bootstrap")

and every seed and every mechanism meets the same examples. The variance of a difference of means is therefore

    V_seed    = s^2 / n        s: spread of the per-seed scores, which holds S and I
    V_example = Var(E) / N     I is taken out of the examples' part, or it would count twice

These are the variances of an infinitely long bootstrap that draws seeds and examples together, made unbiased
in the number of seeds. (A closed form draws no random numbers: the same results always give the same table.)

Percentiles of such a bootstrap would be wrong: with three seeds it sees 2/3 of the variance and has normal
instead of Student tails; where it claims 95 % it covers some 75 %. So each part enters with its own quantile
and the half-widths are added in quadrature (method of variance estimates recovery, Zou & Donner 2008):

    half-width^2 = t_{df}^2 V_seed + t_{K-1}^2 V_example

``df`` is n - 1 for paired seeds and Welch's for others; K counts examples, or blocks of windows. This is the
t interval where examples do not matter, and the examples' interval where seeds do not; in between it is
slightly careful. Simulated coverage at 95 % (the tests repeat a part of this):

    V_example / V_seed          0     0.1   0.5   1     2     10
    3 paired seeds              95.0  95.9  97.2  97.4  97.7  96.9
    3 seeds against 3 others    96.6  96.6  97.1  97.3  97.4  96.8
    5 paired seeds              95.0  95.4  96.3  96.6  96.5  95.7

Satterthwaite's pooled degrees of freedom would be tighter, but cover only 92 % where seeds dominate.

What is not trained has no S: a forecast that repeats the last step is one run, exact, and V_seed is that of the other
side alone. Between two such only the examples count.

With a single seed on a side that is trained nothing is known of S. What is left is the examples' interval of the
models as they were trained, with I in it (``models_only``): it says nothing of another seed and so has no p-value.

How many seeds would settle a difference is in favit.analysis.power, when seeds are paired in
favit.analysis.comparisons. ``benchmarks/bench_statistics.py`` simulates all of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """The runs of one mechanism.

    scores: (n,) one score a seed, in the unit of the table.
    examples: (n, K) the same scores by test example (or by block of windows, see `block_means`), in the same
        unit and order as those of the sample that it is compared to; None where predictions are not there.
    exact: not trained, so that its one score has no spread over seeds.
    """

    scores: Floats
    examples: Floats | None = None
    exact: bool = False


@dataclass(frozen=True)
class Difference:
    """``a - b`` with its interval. ``low``, ``high`` and ``p`` are None where the data cannot tell.

    seeds: of the side that has fewer, of those that are trained.
    seed_variances: s^2 of one seed, of the differences if paired, else of each side that is trained.
    seed_df: degrees of freedom of their sum as estimated.
    example_variance: V_example, that part of the variance that more seeds do not make smaller.
    left_out: seeds of either side that have no partner, where others are paired.
    models_only: the interval is over test examples and holds for these trained models, not for their mechanisms.
    """

    estimate: float
    low: float | None
    high: float | None
    p: float | None
    seeds: int
    paired: bool
    seed_variances: tuple[float, ...] = ()
    seed_df: float = 0.0
    example_variance: float = 0.0
    example_df: int | None = None
    left_out: int = 0
    models_only: bool = False


def compare(a: Sample, b: Sample, *, paired: bool, confidence: float = 0.95) -> Difference:
    """Mean of ``a`` minus mean of ``b``; ``paired``: a.scores[i] and b.scores[i] share their randomness.

    Where a side that is trained has one seed, the interval is that of the trained models over the test examples,
    without a p-value. There is none where that needs examples that are not there, or where nothing varies at all.
    """
    if paired and len(a.scores) != len(b.scores):
        raise ValueError(
            f"paired samples need equal numbers of seeds, not {len(a.scores)} and {len(b.scores)}"
        )
    estimate = float(np.mean(a.scores) - np.mean(b.scores))
    _check_examples(a, b)
    seeds = _fewest_seeds(a, b)
    if seeds < 2 and not (a.exact and b.exact):
        return _of_these_models(a, b, estimate, confidence)
    sides = [a.scores - b.scores] if paired else [side.scores for side in (a, b) if not side.exact]
    spread = _Spread(
        seed_variances=tuple(float(np.var(side, ddof=1)) for side in sides),
        seeds=tuple(len(side) for side in sides),
        example_variance=_example_variance(a, b, paired),
        example_df=_example_df(a, b),
    )
    half = spread.half_width(1 - confidence)
    known = half > _NOTHING * max(1.0, abs(estimate))
    return Difference(
        estimate,
        estimate - half if known else None,
        estimate + half if known else None,
        spread.p_value(abs(estimate)) if known else None,
        seeds,
        paired,
        spread.seed_variances,
        spread.seed_df,
        spread.example_variance,
        spread.example_df,
    )


def _fewest_seeds(a: Sample, b: Sample) -> int:
    return min((len(side.scores) for side in (a, b) if not side.exact), default=1)


# What rounding leaves of a half-width of nothing, in units of the estimate.
_NOTHING = 1e-12


def _of_these_models(a: Sample, b: Sample, estimate: float, confidence: float) -> Difference:
    """Student's t interval of the mean difference by example, for the models as they were trained."""
    unknown = Difference(estimate, None, None, None, _fewest_seeds(a, b), False)
    df = _example_df(a, b)
    if a.examples is None or b.examples is None or df is None:
        return unknown
    difference = a.examples.mean(axis=0) - b.examples.mean(axis=0)  # (K,)
    variance = float(np.var(difference, ddof=1)) / len(difference)
    half = _half_width(1 - confidence, df, variance)
    if half <= _NOTHING * max(1.0, abs(estimate)):
        return replace(unknown, example_df=df)
    return replace(
        unknown,
        low=estimate - half,
        high=estimate + half,
        example_variance=variance,
        example_df=df,
        models_only=True,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p-values, in the order given; they hold the family-wise error rate."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    adjusted = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values, dtype=float)[order]))
    result = np.empty(len(order))
    result[order] = adjusted
    return [float(p) for p in result]


def block_means(examples: Floats, length: int) -> Floats:
    """Means (n, K) of K = N // length successive blocks of ``examples`` (n, N).

    Neighbouring forecast windows share most of their steps, so they are no independent examples; blocks much
    longer than a window nearly are (the batch means of Carlstein 1986).
    """
    count = max(1, examples.shape[1] // length)
    edges = np.linspace(0, examples.shape[1], count + 1).astype(int)
    return np.asarray(np.add.reduceat(examples, edges[:-1], axis=1) / np.diff(edges))


def block_length(horizon: int, windows: int) -> int:
    """Windows a block: eight horizons, but at least 8 blocks.

    Four horizons would do for errors that forget at once, but errors last. Simulated coverage of 95 % intervals
    that hang on the examples alone, over 2,857 windows of 24 steps: 95 % where 0.9 of an error is left in the next
    step, 95 % where 0.97 is (with four horizons 94 % and 92 %).
    """
    return max(1, min(8 * horizon, windows // 8))


@dataclass(frozen=True)
class _Spread:
    """What the half-width of an interval depends on: variances a seed and number of seeds, a side each."""

    seed_variances: tuple[float, ...]
    seeds: tuple[int, ...]
    example_variance: float
    example_df: int | None

    @property
    def _of_means(self) -> list[float]:
        return [v / n for v, n in zip(self.seed_variances, self.seeds, strict=True)]

    @property
    def seed_df(self) -> float:
        if not self.seeds:
            return 0.0
        return welch_df(self._of_means, [n - 1 for n in self.seeds])

    def half_width(self, alpha: float) -> float:
        return math.hypot(
            _half_width(alpha, self.seed_df, sum(self._of_means)),
            _half_width(alpha, self.example_df, self.example_variance),
        )

    def p_value(self, distance: float) -> float:
        """The level at which the interval just reaches zero."""
        smallest = 1e-100
        if self.half_width(smallest) <= distance:
            return smallest
        if distance == 0:
            return 1.0

        def excess(log_alpha: float) -> float:
            return self.half_width(math.exp(log_alpha)) - distance

        return math.exp(optimize.brentq(excess, math.log(smallest), 0.0, xtol=1e-10))


def _half_width(alpha: float, df: float | None, variance: float) -> float:
    return 0.0 if df is None or variance == 0 else float(quantile(alpha, df)) * math.sqrt(variance)


def quantile(alpha: float, df: Any) -> Any:
    """Student's t that ``alpha`` exceeds on both sides together (what scipy.stats.t wraps, at 1/50 of its time)."""
    return -special.stdtrit(df, alpha / 2)


def welch_df(variances: Sequence[float], df: Sequence[float]) -> float:
    """Welch-Satterthwaite degrees of freedom of a sum of independent variances."""
    total = sum(variances)
    if total == 0:
        return float(min(df))
    return total**2 / sum(v**2 / f for v, f in zip(variances, df, strict=True))


def _check_examples(a: Sample, b: Sample) -> None:
    if a.examples is None or b.examples is None or a.examples.shape[1] == b.examples.shape[1]:
        return
    raise ValueError(f"samples were tested on {a.examples.shape[1]} and {b.examples.shape[1]} examples")


def _example_df(a: Sample, b: Sample) -> int | None:
    """Degrees of freedom of the examples' part; None if the examples are not known, or there is only one."""
    if a.examples is None or b.examples is None or a.examples.shape[1] < 2:
        return None
    return a.examples.shape[1] - 1


def _example_variance(a: Sample, b: Sample, paired: bool) -> float:
    """V_example = (variance over examples of the mean difference - what interaction puts there) / N."""
    if a.examples is None or b.examples is None or _example_df(a, b) is None:
        return 0.0
    count = a.examples.shape[1]
    if paired:
        by_example, interaction = _two_way(a.examples - b.examples)
    else:
        (a_by_example, a_interaction), (b_by_example, b_interaction) = (
            _two_way(a.examples),
            _two_way(b.examples),
        )
        by_example, interaction = a_by_example - b_by_example, a_interaction + b_interaction
    return max(0.0, float(np.var(by_example, ddof=1)) - interaction) / count


def _two_way(x: Floats) -> tuple[Floats, float]:
    """Means by example (K,) of the layout x (n seeds, K examples), and the variance Var(I) / n in each of them.

    Var(I) is the mean square of what seed means and example means leave unexplained.
    """
    n, count = x.shape
    if n == 1:  # exact
        return x[0], 0.0
    by_seed, by_example = x.mean(axis=1), x.mean(axis=0)
    total = np.vdot(x, x) + n * count * by_seed.mean() ** 2
    unexplained = total - count * np.vdot(by_seed, by_seed) - n * np.vdot(by_example, by_example)
    return by_example, max(0.0, float(unexplained)) / ((n - 1) * (count - 1)) / n
