"""What the tables' statistics claim, simulated: pairing, seeds that would settle a difference, families of tests.

Scores are normal; a row's score is its mean, what it shares with the other row's seed, and what is its own. Prints
coverage at 95 % of paired and unpaired intervals and the ratio of their mean widths, by number of seeds and
correlation; the power that planned numbers of seeds have, at a promise of 80 %; and how often some star of a block
without any gain is wrong, with both metrics corrected together and each for itself.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from favit.analysis.power import MOST_SEEDS, seeds_to_settle
from favit.analysis.statistics import Difference, Sample, compare, holm

Floats = NDArray[np.float64]


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws")
    draws = 2_000 if parser.parse_args().quick else 20_000
    rng = np.random.default_rng(0)
    print("pairing: seeds, correlation: coverage paired, unpaired; width paired / unpaired")
    for seeds in (2, 3, 4, 5, 6, 8, 12):
        for correlation in (0.0, 0.2, 0.5, 0.9):
            paired, unpaired, ratio = pairing(rng, seeds, correlation, draws)
            print(f"  {seeds:>2} {correlation:.1f}: {paired:.3f} {unpaired:.3f}; {ratio:.2f}")
    print("power of the seeds planned for 80 %: pilot, gain in deviations, comparisons: as planned, from the")
    print("pilot's spread alone; if the pilot's seeds are counted in; median number of seeds")
    for pilot in (3, 5):
        for paired_seeds in (True, False):
            for gain in (0.7, 1.5, 3.0):
                for comparisons in (1, 4):
                    found = planned(rng, pilot, gain, comparisons, paired_seeds, draws // 50)
                    how = "paired" if paired_seeds else "unpaired"
                    print(f"  {pilot} {how:<8} {gain:.1f} {comparisons}: " + found)
    print(
        "no difference, seeds added as planned (up to 60), all tested: pilot: share with a star, first look's"
    )
    for pilot in (3, 5):
        both, first = looked_twice(rng, pilot, draws // 10)
        print(f"  {pilot}: {both:.3f} {first:.3f}")
    print(
        "blocks without any gain that have a star: rows compared, seeds, correlation of MSE and MAE: together, apart"
    )
    for rows, seeds in ((1, 3), (1, 10), (4, 3), (4, 10)):
        for correlation in (0.5, 0.9):
            together, apart = starred(rng, rows, seeds, correlation, draws // 10)
            print(f"  {rows} {seeds:>2} {correlation:.1f}: {together:.3f} {apart:.3f}")


def pairing(
    rng: np.random.Generator, seeds: int, correlation: float, draws: int
) -> tuple[float, float, float]:
    """Coverage of Student's paired and Welch's interval of a difference of 0, and the ratio of their mean widths."""
    shared = rng.normal(size=(draws, seeds)) * math.sqrt(correlation)
    a, b = (shared + rng.normal(size=(draws, seeds)) * math.sqrt(1 - correlation) for _ in range(2))
    estimate = (a - b).mean(axis=1)
    paired = _quantile(0.05, seeds - 1) * np.sqrt((a - b).var(axis=1, ddof=1) / seeds)
    va, vb = a.var(axis=1, ddof=1) / seeds, b.var(axis=1, ddof=1) / seeds
    unpaired = _quantile(0.05, (va + vb) ** 2 / (va**2 + vb**2) * (seeds - 1)) * np.sqrt(va + vb)
    covered = [float(np.mean(abs(estimate) <= half)) for half in (paired, unpaired)]
    return covered[0], covered[1], float(paired.mean() / unpaired.mean())


def planned(
    rng: np.random.Generator, pilot: int, gain: float, comparisons: int, paired: bool, draws: int
) -> str:
    """Mean power of plans made from pilots whose difference is the true one and whose spread is drawn."""
    alpha = 0.05 / comparisons
    fresh, word, continued, numbers = [], [], [], []
    for _ in range(draws):
        a, b = rng.normal(gain, 1, pilot), rng.normal(0, 1, pilot)
        seen = compare(Sample(a), Sample(b), paired=paired)
        plan = Difference(
            gain, gain - 1, gain + 1, 0.5, pilot, paired, seen.seed_variances, seen.seed_df
        )  # of the true size: what is promised is the power against it
        n = int(min(seeds_to_settle(plan, comparisons), MOST_SEEDS))
        numbers.append(n)
        fresh.append(_power(gain, 1.0, n, alpha, paired))
        deviation = math.sqrt(sum(seen.seed_variances) / 2)
        at_its_word = (m for m in range(2, MOST_SEEDS) if _power(gain, deviation, m, alpha, paired) >= 0.8)
        word.append(_power(gain, 1.0, next(at_its_word, MOST_SEEDS), alpha, paired))
        if n > pilot:
            whole = [
                Sample(np.append(seeds, rng.normal(mean, 1, n - pilot)))
                for seeds, mean in ((a, gain), (b, 0.0))
            ]
            p = compare(*whole, paired=paired).p
            continued.append(p is not None and p <= alpha)
    return (
        f"{np.mean(fresh):.2f}, {np.mean(word):.2f}; {np.mean(continued):.2f}; {np.median(numbers):.0f} seeds"
    )


def _power(gain: float, deviation: float, seeds: int, alpha: float, paired: bool) -> float:
    """Of a t test at ``alpha`` of two rows of equal ``deviation`` and no correlation: the non-central t."""
    df = (seeds - 1) * (1 if paired else 2)
    noncentral = gain / deviation * math.sqrt(seeds / 2)
    return float(stats.nct.sf(_quantile(alpha, df), df, noncentral))


def looked_twice(rng: np.random.Generator, pilot: int, draws: int) -> tuple[float, float]:
    """Share of rows without a difference that have a star after seeds were added to a first look, and at that look."""
    first = second = 0
    for _ in range(draws):
        a, b = rng.normal(size=pilot), rng.normal(size=pilot)
        seen = compare(Sample(a), Sample(b), paired=False)
        if seen.p is not None and seen.p < 0.05:
            first += 1
        elif (seeds := seeds_to_settle(seen, 1)) <= 60:
            more = max(1, int(seeds) - pilot)
            whole = [Sample(np.append(x, rng.normal(size=more))) for x in (a, b)]
            p = compare(*whole, paired=False).p
            second += p is not None and p < 0.05
    return (first + second) / draws, first / draws


def starred(
    rng: np.random.Generator, rows: int, seeds: int, correlation: float, draws: int
) -> tuple[float, float]:
    """Share of blocks with a star, of ``rows`` rows with the baseline's mean and two metrics."""
    together = apart = 0
    for _ in range(draws):
        scores = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], (rows + 1, seeds))
        p = [
            [compare(Sample(row[:, m]), Sample(scores[0, :, m]), paired=False).p or 1.0 for row in scores[1:]]
            for m in range(2)
        ]
        together += min(holm(p[0] + p[1])) < 0.05
        apart += min(holm(p[0]) + holm(p[1])) < 0.05
    return together / draws, apart / draws


def _quantile(alpha: float, df: Floats | float) -> Floats:
    return np.asarray(-special.stdtrit(df, alpha / 2))


if __name__ == "__main__":
    main()
