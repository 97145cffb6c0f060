"""Sequential tests of a difference after every further seed: the level at which each of them may decide.

A difference that is tested again after each seed is tested often, and of tests at 5 % each, after 3 to 10 seeds, one
rejects in 17 % of cases where there is nothing to find. So every look tests at one lower level, the same for all
(Pocock 1977, "Group sequential methods in the design and analysis of clinical trials", Biometrika 64), chosen so
that the probability that any of them rejects is what a single test would have:

    P(|t_n| > t_{n-1}(level) for some n = first ... last) = alpha

with Student's own quantile of n - 1 degrees of freedom at each look (the significance level approach; Jennison &
Turnbull 2000, "Group Sequential Methods with Applications to Clinical Trials", chapter 11). For three seeds
quantiles of the normal distribution, from which such levels are mostly computed, would be far off; the probability
is therefore computed exactly for t. Where nothing is to be found, the direction of n scores is uniform on the sphere,
and a further score z = x_{n+1} / |(x_1 ... x_{n+1})|, with density ~ (1 - z^2)^(n/2 - 1), does not depend on it, so

    u_n = sum(x) / |x|,    u_{n+1} = u_n sqrt(1 - z^2) + z,    t_n^2 = (n - 1) u_n^2 / (n - u_n^2)

is a Markov chain of one dimension, and what remains is an integral a look. Seeds that are not paired, and with them
Welch's degrees of freedom, take the same level: more degrees of freedom make looks more alike, so it is careful.
Each comparison of a block has its share of 5 % (Bonferroni), so that its interval at a look,

    estimate +- half-width at this level     (a repeated confidence interval; Jennison & Turnbull 1989, "Interim
                                             analyses: the repeated confidence interval approach", JRSS B 51)

holds at all looks and for all comparisons together with 95 %: whatever decides, and whenever, a star is wrong, and so
is a row said to be within the margin of equivalence, in 5 % of sweeps at most. The half-width is that of
favit.analysis.statistics with its part of test examples, which stay the same from look to look and enter at the same
level; that is careful, too. Variances are of the two rows compared: pooled over all arms of a sweep they would need
fewer seeds, but where one arm varies twice as much 5 % become 6 or, if it is the baseline, 12.

Simulated, sweeps of a baseline and four rows, looks at 3, 4 ... 10 seeds, 100,000 sweeps where there are no examples
and 10,000 elsewhere, of which samples of 10,000 differ by 0.2 (benchmarks/bench_sequential.py; a test repeats a
part):

    share of sweeps with a wrong star                      paired    unpaired
    scores vary by seed alone                              4.7 %     3.2 %
    test examples add 0.5, 1, 2 times the variance that
        ten seeds leave                                    2.1, 1.5, 1.1 %   1.9, 1.7, 1.6 %
    half of the variance shared by a seed's rows           4.7 %     0.5 %
    one row's deviation doubled                            4.8 %     3.5 %   (pooled: 6.0 %)
    the baseline's deviation doubled                       4.1 %     3.2 %   (pooled: 12 %)

    effect, in deviations of differences                   1     1.5   2     3     4
    share of its ten runs that a row takes, paired         0.92  0.80  0.67  0.52  0.46
                                            unpaired       0.89  0.71  0.56  0.43  0.38
    found different, paired                                0.34  0.74  0.96  1     1
                     unpaired                              0.44  0.88  0.99  1     1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from favit.analysis.statistics import quantile

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Probability that some statement of a block, at whichever look, is wrong."""

_NODES, _GRID = 32, 257
"""Of the quadrature and of the interpolation: levels are exact to some 1e-4 of themselves."""


@dataclass(frozen=True)
class Design:
    """Looks after ``first`` ... ``last`` seeds at ``comparisons`` differences.

    Raises ``ValueError`` unless 2 <= first <= last and there is a comparison.
    """

    first: int
    last: int
    comparisons: int

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.last or self.comparisons < 1:
            raise ValueError(
                f"looks must be at 2 seeds or more, the last no sooner than the first, of one comparison or more; "
                f"not {self.first} to {self.last} of {self.comparisons}"
            )

    @property
    def level(self) -> float:
        """The level of the test at each look; 1 - level is the confidence of its interval."""
        return nominal_level(ALPHA / self.comparisons, self.first, self.last)

    def p_value(self, nominal: float) -> float:
        """Correct the p-value of one look for all looks and all comparisons."""
        return min(1.0, self.comparisons * crossing(nominal, self.first, self.last))


def verdict(low: float | None, high: float | None, margin: float | None) -> str:
    """The verdict of an interval: ``different``, ``equivalent`` (within +- margin), or empty if undecided.

    One that excludes zero and lies within the margin says ``different``.
    """
    if low is None or high is None:
        return ""
    if low > 0 or high < 0:
        return "different"
    return "equivalent" if margin is not None and -margin <= low and high <= margin else ""


@lru_cache(maxsize=256)
def nominal_level(alpha: float, first: int, last: int) -> float:
    """The level of each look at ``first`` ... ``last`` seeds, with which some look rejects in ``alpha`` of cases."""
    if first == last:
        return alpha

    def excess(log_level: float) -> float:
        return math.log(crossing(math.exp(log_level), first, last) / alpha)

    looks = last - first + 1
    return math.exp(optimize.brentq(excess, math.log(alpha / looks), math.log(alpha), xtol=1e-6))


@lru_cache(maxsize=1024)
def crossing(level: float, first: int, last: int) -> float:
    """The probability that a t test of n normal values of mean 0 rejects at ``level`` for some n of first ... last."""
    if level >= 1:
        return 1.0
    if level < 1e-12:  # where levels are tiny, looks hardly overlap
        return min(1.0, level * (last - first + 1))
    x, weights = np.polynomial.legendre.leggauss(_NODES)
    u, stays = _inside(level, last), np.ones(_GRID)
    for n in range(last - 1, first - 1, -1):
        now = _inside(level, n)
        stays, u = _one_look_earlier(now, u, stays, n, x, weights), now
    if first == last:
        return level
    # The chance to cross later, over u_first: u = sqrt(n) cos(angle), density ~ sin(angle)^(n - 2).
    low = math.acos(min(1.0, u[-1] / math.sqrt(first)))
    half = (math.pi / 2 - low) / 2
    angle = low + half * (x + 1)
    crosses = np.interp(math.sqrt(first) * np.cos(angle), u, 1 - stays)
    later = 2 * half * np.sum(weights * np.sin(angle) ** (first - 2) * crosses)
    return float(level + later / special.beta(0.5, (first - 1) / 2))


def _inside(level: float, n: int) -> Floats:
    """Values (grid,) of |u_n| from 0 to where the look at n seeds rejects."""
    t2 = float(quantile(level, n - 1)) ** 2
    return np.linspace(0, math.sqrt(n * t2 / (n - 1 + t2)), _GRID)


def _one_look_earlier(now: Floats, then: Floats, stays: Floats, n: int, x: Floats, weights: Floats) -> Floats:
    """The probability (grid,) to stay inside from look n + 1 on, by |u_n| in ``now``.

    ``stays`` is that from look n + 2 on by |u_{n+1}| in ``then``. With z = sin(a) and u_n = tan(b) the next value is
    sqrt(1 + u_n^2) sin(a + b), inside on up to three stretches of a.
    """
    b, right = np.arctan(now), np.full_like(now, math.pi / 2)
    edge = np.arcsin(np.minimum(1, then[-1] / np.sqrt(1 + now**2)))
    stretches = (
        (np.maximum(-right, -edge - b), np.minimum(right, edge - b)),
        (np.minimum(right, math.pi - edge - b), right),
        (-right, np.maximum(-right, edge - math.pi - b)),
    )
    total: Any = 0.0
    for low, high in stretches:
        half = np.maximum(0, high - low)[:, None] / 2
        a = low[:, None] + half * (x + 1)
        following = np.abs(np.sqrt(1 + now**2)[:, None] * np.sin(a + b[:, None]))
        total = total + np.sum(
            half * weights * np.cos(a) ** (n - 1) * np.interp(following, then, stays), axis=1
        )
    return np.asarray(total / special.beta(0.5, n / 2))
