"""Looks after every seed: levels against drawn t tests, the simulation against the product, and a part of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks import bench_sequential as bench
from favit.analysis.sequential import ALPHA, Design, crossing, nominal_level, verdict
from favit.analysis.statistics import Sample, compare


@pytest.mark.parametrize(("level", "first", "last"), [(0.05, 3, 10), (0.005, 3, 10), (0.02, 2, 4)])
def test_the_probability_of_a_crossing_is_that_of_t_tests_drawn_one_by_one(level, first, last):
    x = np.random.default_rng(0).standard_normal((60_000, last))
    crossed = np.zeros(len(x), bool)
    for n in range(first, last + 1):
        crossed |= stats.ttest_1samp(x[:, :n], 0, axis=1).pvalue <= level
    deviation = np.sqrt(crossed.mean() / len(x))
    assert crossing(level, first, last) == pytest.approx(crossed.mean(), abs=3 * deviation)


def test_one_look_costs_nothing_and_a_level_gives_back_what_it_was_made_for():
    assert nominal_level(0.05, 4, 4) == 0.05
    level = nominal_level(0.0125, 3, 10)
    assert 0.0125 / 8 < level < 0.0125
    assert crossing(level, 3, 10) == pytest.approx(0.0125, rel=1e-4)
    design = Design(3, 10, 4)
    assert design.level == level
    assert design.p_value(level) == pytest.approx(ALPHA, rel=1e-4)
    assert design.p_value(0.5) == 1.0


def test_looks_that_cannot_be_are_refused():
    for first, last, comparisons in ((1, 5, 1), (5, 4, 1), (3, 10, 0)):
        with pytest.raises(ValueError, match="looks must be"):
            Design(first, last, comparisons)


@pytest.mark.parametrize(
    ("low", "high", "margin", "said"),
    [
        (0.1, 0.9, 1.0, "different"),
        (-2.0, -0.1, None, "different"),
        (-0.2, 0.3, 0.3, "equivalent"),
        (-0.2, 0.31, 0.3, ""),
        (-0.2, 0.3, None, ""),
        (0.0, 0.3, None, ""),
        (None, None, 0.3, ""),
    ],
)
def test_what_an_interval_says(low, high, margin, said):
    assert verdict(low, high, margin) == said


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("with_examples", [True, False])
def test_the_simulation_looks_as_the_product_does(paired, with_examples):
    rng = np.random.default_rng(1)
    examples = rng.normal(size=(3, bench.ROWS + 1, 4, 20)) + rng.normal(size=(3, bench.ROWS + 1, 1, 20))
    scores = rng.normal(size=(3, bench.ROWS + 1, 4))
    estimate, half = bench.look(scores, examples if with_examples else None, bench.World(paired))
    for sweep in range(3):
        base, *rows = (
            Sample(s, e if with_examples else None)
            for s, e in zip(scores[sweep], examples[sweep], strict=True)
        )
        for row, sample in enumerate(rows):
            ours = compare(sample, base, paired=paired, confidence=1 - bench.DESIGN.level)
            expected = estimate[sweep, row], estimate[sweep, row] - half[sweep, row]
            assert (ours.estimate, ours.low) == pytest.approx(expected)


@pytest.mark.parametrize(("paired", "most"), [(True, 0.70), (False, 0.60)])
def test_sweeps_without_a_difference_seldom_say_so_and_effects_take_few_runs(paired, most):
    rng = np.random.default_rng(2)
    wrong = bench.wrong(bench.World(paired), 6_000, rng)
    assert wrong < ALPHA + 2 * np.sqrt(ALPHA / 6_000)  # looks at 5 % / 4 each have some 15 %
    found = bench.simulate(bench.World(paired, effect=2.0), 2_000, rng)
    assert found.runs.mean() / bench.LAST < most
    assert found.different.mean() > 0.9


def test_a_margin_ends_rows_that_do_not_differ():
    found = bench.simulate(bench.World(False, margin=3.0), 500, np.random.default_rng(3))
    assert found.equivalent.mean() > 0.9
    assert found.runs.mean() < bench.LAST
