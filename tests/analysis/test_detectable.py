"""Which difference a sweep detects, against scipy's t tests and drawn scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from favit.analysis.detectable import (
    POWER,
    Spread,
    detectable,
    least_p,
    probability,
    seeds_for,
    sentences,
    spread_of,
)
from favit.analysis.results import METRICS


def test_the_probability_is_that_of_drawn_t_tests() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(2.0, 1.5, (20_000, 4)), rng.normal(0.0, 1.5, (20_000, 4))
    drawn = np.mean(stats.ttest_ind(a, b, axis=1).pvalue < 0.0125)
    assert probability(2.0, 1.5, 4, 0.0125) == pytest.approx(drawn, abs=0.012)


def test_the_probability_of_pairs_is_that_of_drawn_t_tests_where_scores_do_not_correlate() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.normal(2.0, 1.5, (20_000, 7)) - rng.normal(0.0, 1.5, (20_000, 7))
    drawn = np.mean(stats.ttest_1samp(pairs, 0.0, axis=1).pvalue < 0.0125)
    assert probability(2.0, 1.5, 7, 0.0125, paired=True) == pytest.approx(drawn, abs=0.012)


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("pairing", ["auto", "paired", "unpaired"])
def test_what_is_detectable_is_found_with_the_power_promised_and_half_takes_the_seeds_said(
    seeds: int, pairing: str
) -> None:
    def chance(difference: float, seeds: int) -> float:
        is_paired = pairing == "paired" or (pairing == "auto" and seeds >= 6)
        return probability(difference, 0.3, seeds, 0.0125, is_paired)

    found = detectable(0.3, seeds, 0.0125, pairing)
    assert chance(found, seeds) == pytest.approx(POWER, abs=1e-4)
    more = seeds_for(found / 2, 0.3, 0.0125, pairing)
    assert more is not None and more > seeds
    assert chance(found / 2, more) >= POWER > max(chance(found / 2, n) for n in range(2, more))


def test_pairs_find_less_at_first_and_five_seeds_may_find_what_six_do_not() -> None:
    five, six = (detectable(0.3, seeds, 0.001, "auto") for seeds in (5, 6))
    assert five < six == detectable(0.3, 6, 0.001, "paired")
    assert seeds_for(1.001 * five, 0.3, 0.001, "auto") == 5


def test_the_ends() -> None:
    assert math.isinf(detectable(0.3, 1, 0.05)) and detectable(0.0, 3, 0.05) == 0.0
    assert seeds_for(1e-6, 1.0, 0.05) is None
    assert least_p(3) == 0.25


def result(seed: int, top1: float | None, **changes: Any) -> dict[str, Any]:
    run = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "seed": seed, **changes}
    return {"run": run, "metrics": {} if top1 is None else {"top1": top1}}


def test_spread_is_pooled_over_rows_and_never_between_them() -> None:
    rows = [result(s, 50 + s) for s in range(3)] + [result(s, 90 + 2 * s, lr=0.1) for s in range(2)]
    others = [result(0, 10.0, model="favit_b2"), result(7, None), result(0, 0.0, lr=9.0)]
    found = spread_of([*rows, *others], "digits", "favit_b0", "classification")
    assert found == Spread(pytest.approx(math.sqrt((2 * 1.0 + 1 * 2.0) / 3)), 5)
    assert spread_of(others, "digits", "favit_b0", "classification") is None


def test_what_is_said() -> None:
    metric = METRICS["classification"][0]
    said = "\n".join(sentences(metric, "Digits", 3, 5, Spread(0.3), 0.0125, 2.0, False))
    more = seeds_for(detectable(0.3, 3, 0.0125) / 2, 0.3, 0.0125)
    assert more is not None
    assert f"of {detectable(0.3, 3, 0.0125):.2g} points with 80% probability" in said and "a guess" in said
    assert (
        f"{more} seeds per row, {(more - 3) * 5} more runs, {(more - 3) * 5 * 2.0:.1f} device hours" in said
    )
    assert "3 can rarely" not in said and "3 seeds can rarely settle anything" in said and "p >= 0.25" in said
    one = "\n".join(sentences(metric, "Digits", 1, 5, Spread(0.3, 4), 0.0125, None, False))
    assert "detects: nothing" in one and "1 seed can" in one
    assert "paired" not in said
    pairs = "\n".join(sentences(metric, "Digits", 6, 2, Spread(0.3), 0.05, None, True, "auto"))
    assert f"of {detectable(0.3, 6, 0.05, 'paired'):.2g} points" in pairs and "paired: less where" in pairs
    many = "\n".join(sentences(metric, "Digits", 6, 2, Spread(0.3), 0.05, None, True))
    assert "rarely" not in many and "as given" in many
