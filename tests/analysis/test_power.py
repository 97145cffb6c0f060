"""Numbers of seeds that would settle a difference: against the exact power, and against simulated plans."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from favit.analysis.power import MOST_SEEDS, expected_power, seeds_to_settle
from favit.analysis.statistics import Difference, Sample, compare


def _seen(estimate: float, *variances: float, df: float, example: tuple[float, int] = (0.0, 0)) -> Difference:
    """A difference of this size, its spread estimated with ``df`` degrees of freedom; unpaired for two variances."""
    low, high = estimate - 1, estimate + 1
    paired = len(variances) == 1
    return Difference(estimate, low, high, 0.5, 3, paired, variances, df, example[0], example[1] or None)


@pytest.mark.parametrize(("gain", "spread"), [(1.0, 1.0), (1.87, 0.9), (0.5, 1.2)])
@pytest.mark.parametrize("comparisons", [1, 4])
@pytest.mark.parametrize("seeds", [3, 6, 20])
def test_a_spread_that_is_known_has_the_power_of_the_noncentral_t(gain, spread, comparisons, seeds):
    alpha = 0.05 / comparisons
    noncentral = stats.nct(seeds - 1, gain / spread * math.sqrt(seeds))
    exact = float(noncentral.sf(stats.t.isf(alpha / 2, seeds - 1)))
    known = _seen(gain, spread**2, df=1e7)
    assert expected_power(known, seeds, alpha) == pytest.approx(exact, abs=0.012)


def test_an_uncertain_spread_needs_more_seeds_than_a_known_one():
    needed = [seeds_to_settle(_seen(1.0, 1.0, df=df), 4) for df in (2, 4, 20, 1e7)]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] > 2 * needed[-1]


@pytest.mark.parametrize("pilot", [3, 5])
@pytest.mark.parametrize("paired", [True, False])
def test_plans_have_the_power_that_they_promise(pilot, paired):
    """Plans from 250 pilots, then new seeds as planned, tested as tables are: 80 % of them settle it."""
    rng = np.random.default_rng(0)
    gain, comparisons, pilots = 1.5, 2, 250
    settled = []
    for _ in range(pilots):
        seen = compare(Sample(rng.normal(gain, 1, pilot)), Sample(rng.normal(0, 1, pilot)), paired=paired)
        n = int(
            min(MOST_SEEDS, seeds_to_settle(_seen(gain, *seen.seed_variances, df=seen.seed_df), comparisons))
        )
        for _ in range(4):
            found = compare(Sample(rng.normal(gain, 1, n)), Sample(rng.normal(0, 1, n)), paired=paired)
            settled.append(found.p is not None and found.p < 0.05 / comparisons)
    error = 2.5 * np.std(np.reshape(settled, (pilots, 4)).mean(axis=1)) / math.sqrt(pilots)
    assert 0.8 - error <= np.mean(settled) <= 0.9


def test_plans_count_the_examples_that_do_not_grow():
    """The same, where the test set's part is a quarter of the variance: simulated with the tables' own test."""
    rng = np.random.default_rng(1)
    examples, pilot, gain, settled = 400, 4, 1.0, []

    def sides(n: int) -> tuple[Sample, Sample]:
        own = rng.normal(0, 0.2 * math.sqrt(examples), examples)  # V_example = 0.04
        a = gain + rng.normal(0, 0.5, (n, 1)) + own - own.mean() + rng.normal(0, 0.2)
        b = rng.normal(0, 0.5, (n, 1)) + np.zeros(examples)
        return Sample(a.mean(axis=1), a), Sample(b.mean(axis=1), b)

    for _ in range(300):
        seen = compare(*sides(pilot), paired=False)
        plan = _seen(
            gain, *seen.seed_variances, df=seen.seed_df, example=(seen.example_variance, examples - 1)
        )
        found = compare(*sides(int(min(MOST_SEEDS, seeds_to_settle(plan, 1)))), paired=False)
        settled.append(found.p is not None and found.p < 0.05)
    assert np.mean(settled) >= 0.8 - 2.5 * math.sqrt(0.8 * 0.2 / 300)


def test_no_number_of_seeds_helps_against_a_small_test_set():
    assert seeds_to_settle(_seen(1.0, 0.01, df=2, example=(1.0, 99)), 1) == math.inf
    assert seeds_to_settle(_seen(0.0, 1.0, df=2), 1) == math.inf
    assert math.isnan(seeds_to_settle(Difference(1.0, None, None, None, 1, True), 1))


def test_one_trained_model_says_nothing_of_seeds():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 1, 50))
    found = compare(*(Sample(side.mean(axis=1), side) for side in x), paired=False)
    assert found.models_only and math.isnan(seeds_to_settle(found, 1))


def test_seeds_that_agree_leave_the_examples():
    """No spread between seeds: two settle what the test set can tell, none what it cannot."""
    assert seeds_to_settle(_seen(1.0, 0.0, df=2, example=(0.01, 99)), 1) == 2
    assert seeds_to_settle(_seen(0.1, 0.0, df=2, example=(0.01, 99)), 1) == math.inf
