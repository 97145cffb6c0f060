"""Intervals and p-values against scipy, against brute force, and against what they claim."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from favit.analysis.power import seeds_to_settle
from favit.analysis.statistics import Sample, block_length, block_means, compare, holm

A = np.array([70.1, 70.9, 70.4, 71.3])
B = np.array([68.7, 69.9, 68.2, 69.5])


def test_paired_without_examples_is_the_paired_t_test():
    ours = compare(Sample(A), Sample(B), paired=True)
    theirs = stats.ttest_rel(A, B)
    low, high = theirs.confidence_interval(0.95)
    assert (ours.estimate, ours.low, ours.high) == pytest.approx((np.mean(A - B), low, high))
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)


def test_unpaired_with_unequal_seeds_is_welchs_t_test():
    ours = compare(Sample(A), Sample(B[:2]), paired=False)
    theirs = stats.ttest_ind(A, B[:2], equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((low, high))
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)


def test_seeds_that_agree_leave_the_one_sample_t_test_over_examples():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, 40), rng.normal(0, 1, 40)
    twice = [Sample(np.full(2, x.mean()), np.stack([x, x])) for x in (a, b)]
    theirs = stats.ttest_1samp(a - b, 0)
    low, high = theirs.confidence_interval(0.95)
    for paired in (True, False):
        ours = compare(*twice, paired=paired)
        assert (ours.low, ours.high) == pytest.approx((low, high))
        assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)


def test_one_seed_leaves_the_t_interval_over_examples_of_these_models():
    """Fixed models: the whole spread of the difference by example counts, and there is no p-value for a mechanism."""
    rng = np.random.default_rng(8)
    a, b = rng.normal(0.3, 1, (1, 40)), rng.normal(0, 1, (3, 40))
    ours = compare(Sample(a.mean(axis=1), a), Sample(b.mean(axis=1), b), paired=False)
    low, high = stats.ttest_1samp(a[0] - b.mean(axis=0), 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((low, high))
    assert (ours.models_only, ours.p, ours.seeds) == (True, None, 1)
    equal = compare(Sample(a.mean(axis=1), a), Sample(a.mean(axis=1), a), paired=True)
    assert (equal.low, equal.models_only) == (None, False)
    one_example = compare(Sample(A[:1], A[:1, None]), Sample(B[:1], B[:1, None]), paired=False)
    assert one_example.low is None


def test_intervals_of_one_trained_model_cover_its_own_difference():
    """1,000 draws of test examples for two fixed models that are right on 70 and on 72 %, mostly on the same."""
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(1000):
        ease = rng.random(300)
        sides = [
            100.0 * (np.where(rng.random(300) < 0.8, ease, rng.random(300)) < p)[None] for p in (0.72, 0.7)
        ]
        d = compare(*(Sample(x.mean(axis=1), x) for x in sides), paired=False)
        covered += d.low <= 2.0 <= d.high
    assert abs(covered / 1000 - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / 1000)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("seeds", [3, 6])
def test_pairing_is_exact_and_costs_width_where_nothing_is_shared(seeds, correlation):
    """Both cover; which is narrower depends on the correlation. benchmarks/bench_statistics.py has all cells."""
    rng = np.random.default_rng(10)
    draws, covered, width = 500, np.zeros(2), np.zeros(2)
    for _ in range(draws):
        shared = rng.normal(0, math.sqrt(correlation), seeds)
        sides = [Sample(shared + rng.normal(0, math.sqrt(1 - correlation), seeds)) for _ in range(2)]
        for i, paired in enumerate((True, False)):
            d = compare(*sides, paired=paired)
            covered[i] += d.low <= 0 <= d.high
            width[i] += d.high - d.low
    error = 2.5 * math.sqrt(0.95 * 0.05 / draws)
    assert abs(covered[0] / draws - 0.95) <= error
    assert covered[1] / draws >= 0.95 - error
    expected = {(3, 0.0): 1.26, (3, 0.5): 0.92, (6, 0.0): 1.10, (6, 0.5): 0.78}
    assert width[0] / width[1] == pytest.approx(expected[seeds, correlation], rel=0.08)


def test_one_seed_or_equal_values_have_no_interval():
    assert compare(Sample(A[:1]), Sample(B), paired=False).low is None
    constant = compare(Sample(np.full(3, 70.0)), Sample(np.full(3, 69.0)), paired=True)
    assert (constant.estimate, constant.low, constant.high, constant.p) == (1.0, None, None, None)
    same = compare(Sample(A), Sample(A), paired=True)
    assert (same.estimate, same.low, same.p) == (0.0, None, None)


def test_paired_samples_must_match():
    with pytest.raises(ValueError, match="4 and 2"):
        compare(Sample(A), Sample(B[:2]), paired=True)
    with pytest.raises(ValueError, match="5 and 6 examples"):
        compare(Sample(A[:2], np.zeros((2, 5))), Sample(B[:2], np.zeros((2, 6))), paired=False)


def _table(rng, seeds, examples, *, gain=0.0, seed_sd=0.1, example_sd=2.0, noise_sd=3.0, paired=False):
    """Two mechanisms on the same examples, scores with effects of seed, example and both; seeds share nothing
    but their number, or (paired) their effect."""
    shared_seed = rng.normal(0, 1, (seeds, 1))
    shared_example = rng.normal(0, 5, examples)
    sides = []
    for mean in (gain, 0.0):
        own = rng.normal(0, seed_sd, (seeds, 1)) + (shared_seed if paired else 0.0)
        per_example = shared_example + rng.normal(0, example_sd, examples)
        x = mean + own + per_example + rng.normal(0, noise_sd, (seeds, examples))
        sides.append(Sample(x.mean(axis=1), x))
    return sides


@pytest.mark.parametrize("paired", [True, False])
def test_variance_is_right_on_average(paired):
    """Mean of V_seed + V_example over many tables = variance of the difference over these tables."""
    rng = np.random.default_rng(1)
    found = [compare(*_table(rng, 3, 60, seed_sd=0.3, paired=paired), paired=paired) for _ in range(1500)]
    claimed = np.mean([sum(d.seed_variances) / 3 + d.example_variance for d in found])
    assert claimed == pytest.approx(np.var([d.estimate for d in found]), rel=0.1)


def test_variance_is_that_of_a_bootstrap_over_seeds_and_examples():
    """Drawing seeds and examples together, 20,000 times, where there is no interaction to count twice."""
    rng = np.random.default_rng(2)
    seeds, examples = 12, 50
    a, b = _table(rng, seeds, examples, seed_sd=0.6, noise_sd=0.0)
    d = a.examples - b.examples
    draws = [
        d[rng.integers(seeds, size=seeds)][:, rng.integers(examples, size=examples)].mean()
        for _ in range(20_000)
    ]
    ours = compare(a, b, paired=True)
    # The bootstrap's variances divide by n instead of n - 1.
    expected = sum(ours.seed_variances) / seeds * (seeds - 1) / seeds
    expected += ours.example_variance * (examples - 1) / examples
    assert np.var(draws) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("gain", [0.0, 1.0], ids=["null", "true"])
@pytest.mark.parametrize(
    ("seeds", "paired", "seed_sd", "example_sd"),
    [
        (3, True, 1.0, 0.0),
        (3, True, 0.05, 1.0),
        (3, True, 0.3, 2.0),
        (3, False, 0.3, 2.0),
        (5, True, 0.3, 2.0),
        (2, False, 0.3, 1.0),
    ],
)
def test_intervals_cover_as_often_as_they_claim(seeds, paired, seed_sd, example_sd, gain):
    """1,000 simulated tables: never less than 95 % (two standard errors allowed), nor uselessly more."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(1000):
        sides = _table(
            rng, seeds, 80, gain=gain, seed_sd=seed_sd, example_sd=example_sd, noise_sd=1.0, paired=paired
        )
        d = compare(*sides, paired=paired)
        covered += d.low <= gain <= d.high
    error = 2 * math.sqrt(0.95 * 0.05 / 1000)
    assert 0.95 - error <= covered / 1000 <= 0.99
    if example_sd == 0.0:  # only seeds: exact
        assert covered / 1000 <= 0.95 + error


def test_p_value_and_interval_agree():
    rng = np.random.default_rng(4)
    for _ in range(50):
        a, b = _table(rng, 3, 80, gain=0.5)
        p = compare(a, b, paired=False).p
        edge = compare(a, b, paired=False, confidence=1 - p)
        assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-6)


def _closed_testing(p_values):
    """Holm's definition the long way: the worst Bonferroni test of any set of hypotheses with this one in it."""
    indices = range(len(p_values))
    sets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(indices, size)]
    return [max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in sets if i in s) for i in indices]


@pytest.mark.parametrize(
    "p_values", [[0.01, 0.04, 0.03, 0.005], [0.5, 0.5], [0.2], [0.9, 0.01, 0.01, 0.6, 0.02]]
)
def test_holm_is_the_closed_bonferroni_test(p_values):
    assert holm(p_values) == pytest.approx(_closed_testing(p_values))


def test_holm_of_nothing():
    assert holm([]) == []


def test_family_of_null_differences_is_seldom_wrong():
    """Four comparisons with one baseline, all null: some rejection in at most 5 % of tables."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(500):
        rows = [Sample(rng.normal(0, 1, 3)) for _ in range(5)]
        wrong += min(holm([compare(row, rows[0], paired=False).p for row in rows[1:]])) < 0.05
    assert wrong / 500 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 500)


def test_three_paired_seeds_need_a_small_spread():
    """A gain of 1.87 points over four comparisons is settled below a paired spread of 0.37 points, not above."""
    for spread, settled in ((0.36, True), (0.38, False)):
        gains = np.array([1.87 - spread, 1.87, 1.87 + spread])
        p = compare(Sample(gains), Sample(np.zeros(3)), paired=True).p
        assert (holm([p, 0.9, 0.9, 0.9])[0] < 0.05) is settled


def test_block_means_are_means_of_neighbours():
    x = np.arange(24.0).reshape(2, 12)
    np.testing.assert_allclose(block_means(x, 4), x.reshape(2, 3, 4).mean(axis=2))
    np.testing.assert_allclose(block_means(x, 5), x.reshape(2, 2, 6).mean(axis=2))
    np.testing.assert_allclose(block_means(x, 100), x.mean(axis=1, keepdims=True))


def test_blocks_know_that_windows_overlap():
    """Errors of windows of 12 steps over white noise: blocks see the true variance of their mean, windows do not."""
    rng = np.random.default_rng(6)
    horizon, windows = 12, 600
    means, by_block, by_window = [], [], []
    for _ in range(400):
        steps = rng.normal(size=windows + horizon - 1)
        errors = np.convolve(steps, np.full(horizon, 1 / horizon), mode="valid")
        blocks = block_means(errors[None], block_length(horizon, windows))[0]
        means.append(errors.mean())
        by_block.append(blocks.var(ddof=1) / len(blocks))
        by_window.append(errors.var(ddof=1) / windows)
    assert np.mean(by_block) == pytest.approx(np.var(means), rel=0.2)
    assert np.mean(by_window) < np.var(means) / 5


def test_intervals_over_overlapping_windows_cover():
    """Errors that last (0.8 left in the next step), windows of 12 steps; windows taken as examples fail here."""
    rng = np.random.default_rng(7)
    horizon, windows, tables = 12, 600, 300

    def errors(size: float) -> np.ndarray:
        noise = rng.normal(size=windows + horizon + 99)
        steps = np.convolve(noise, 0.8 ** np.arange(100), mode="valid")
        return size * np.convolve(steps[: windows + horizon - 1], np.full(horizon, 1 / horizon), mode="valid")

    covered = {"blocks": 0, "windows": 0}
    for _ in range(tables):
        own = errors(1.0)  # what tells the two mechanisms apart, with mean zero
        sides = [np.stack([mean + errors(0.3) for _ in range(3)]) for mean in (own, 0.0)]
        blocks = [block_means(x, block_length(horizon, windows)) for x in sides]
        for name, examples in (("blocks", blocks), ("windows", sides)):
            a, b = (Sample(x.mean(axis=1), e) for x, e in zip(sides, examples, strict=True))
            found = compare(a, b, paired=False)
            covered[name] += found.low <= 0 <= found.high
    assert covered["blocks"] / tables >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / tables)
    assert covered["windows"] / tables < 0.9


def test_what_is_exact_leaves_the_one_sample_t_interval_of_the_other_side():
    """A forecast that is not trained has no spread of its own: Student's interval of the trained side, moved."""
    rng = np.random.default_rng(12)
    scores, exact = rng.normal(0.5, 0.1, 4), 0.7
    low, high = stats.ttest_1samp(scores - exact, 0).confidence_interval(0.95)
    ours = compare(Sample(scores), Sample(np.array([exact]), exact=True), paired=False)
    assert (ours.low, ours.high) == pytest.approx((low, high))
    assert ours.p == pytest.approx(stats.ttest_1samp(scores, exact).pvalue, rel=1e-6)
    assert (ours.seeds, ours.models_only) == (4, False)
    turned = compare(Sample(np.array([exact]), exact=True), Sample(scores), paired=False)
    assert (turned.low, turned.high, turned.p) == pytest.approx((-ours.high, -ours.low, ours.p))


def test_between_two_exact_sides_only_examples_vary():
    rng = np.random.default_rng(13)
    a, b = rng.normal(0.3, 1, (1, 50)), rng.normal(0, 1, (1, 50))
    ours = compare(Sample(a.mean(axis=1), a, True), Sample(b.mean(axis=1), b, True), paired=False)
    theirs = stats.ttest_1samp(a[0] - b[0], 0)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6) and not ours.models_only
    assert seeds_to_settle(ours, 1) == math.inf


def test_one_trained_seed_against_an_exact_side_is_of_that_model_only():
    rng = np.random.default_rng(14)
    a, b = rng.normal(0.3, 1, (1, 50)), rng.normal(0, 1, (1, 50))
    ours = compare(Sample(a.mean(axis=1), a), Sample(b.mean(axis=1), b, True), paired=False)
    assert (ours.models_only, ours.p, ours.seeds) == (True, None, 1)
