"""Which seeds pair, which comparisons are corrected together, and what one seed can say."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from favit.analysis.comparisons import pairs
from favit.analysis.render import to_csv, to_markdown
from favit.analysis.results import RunResult
from favit.analysis.statistics import holm
from favit.analysis.tables import Row, TableSpec, make

GROUP = {"dataset": "cifar100", "model": "favit_b0"}


def _plain(row: str, seed: int, **metrics: float) -> RunResult:
    """A finished run without predictions."""
    return RunResult(row, GROUP, seed, "valid", {"status": "finished", "metrics": metrics}, randomness=seed)


def _two(pairing: str = "auto") -> TableSpec:
    rows = (Row("a", "A"), Row("b", "B"))
    return TableSpec("two", "Two", "tab:two", "classification", rows, "a", pairing=pairing)


def _read(table) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(table)))


@pytest.mark.parametrize(
    ("pairing", "seeds", "paired"),
    [
        ("auto", 5, False),
        ("auto", 6, True),
        ("paired", 2, True),
        ("paired", 1, False),
        ("unpaired", 9, False),
    ],
)
def test_whether_seeds_are_paired_is_decided_before_their_scores(pairing, seeds, paired):
    """By what the configuration says and how many there are: scores that agree and scores that do not."""
    rng = np.random.default_rng(10)
    for own in (0.01, 5.0):
        effect = rng.normal(0, 1, seeds)
        results = [
            _plain(row, s, top1=70 + effect[s] + rng.normal(0, own)) for row in "ab" for s in range(seeds)
        ]
        assert make(_two(pairing=pairing), results).lines[1].scores["top1"].difference.paired is paired


@pytest.mark.parametrize(
    ("pairing", "shared", "seeds", "paired"),
    [
        ("auto", 5, 10, False),
        ("auto", 6, 12, True),
        ("auto", 6, 14, False),  # six of eight and six: what is left out would have been worth more
        ("auto", 9, 19, True),  # one seed of ten diverged
        ("paired", 2, 20, True),
        ("paired", 1, 2, False),
        ("unpaired", 9, 18, False),
    ],
)
def test_seeds_without_a_partner_count_against_pairing(pairing, shared, seeds, paired):
    assert pairs(pairing, shared, seeds) is paired


def test_a_score_that_is_no_number_is_said_where_another_is_one():
    results = [_plain(row, s, top1=70.0 + s, top5=90.0) for row in "ab" for s in range(2)]
    results[0] = _plain("a", 0, top1=float("nan"), top5=90.0)
    line = make(_two(), results).lines[0]
    assert line.notes == ("seed 0 without a finite Top-1, excluded there",)
    assert line.scores["top1"].n == 1


def test_stars_of_both_metrics_of_a_block_are_one_family(series):
    """Holm's corrected p over two rows in MSE and MAE together: four comparisons, not twice two."""
    rng = np.random.default_rng(11)
    results = []
    for row, mean in (("vanilla", 0.5), ("pope", 0.45), ("delta_v", 0.52)):
        for s in range(5):
            scores = {"mse": mean + rng.normal(0, 0.01), "mae": mean + rng.normal(0, 0.02)}
            metrics = {"status": "finished", "metrics": scores}
            results.append(RunResult(row, {"dataset": "etth1", "horizon": 24}, s, "valid", metrics))
    table = make(series, results)
    scores = [line.scores[key] for line in table.lines[1:] for key in ("mse", "mae")]
    assert [score.p for score in scores] == holm([score.difference.p for score in scores])
    assert "all comparisons of this table, MSE and MAE together, but not for other tables" in to_markdown(
        table
    )
    assert table.lines[1].scores["mse"].more_seeds == 0


def test_columns_without_stars_do_not_cost_those_that_have_some():
    results = [
        _plain(row, s, top1=70 + 3 * (row == "b") + 0.1 * s * s, top5=90 + s * s)
        for row in "ab"
        for s in range(3)
    ]
    scores = make(_two(), results).lines[1].scores
    assert all(score.p == score.difference.p for score in scores.values())


def test_one_seed_with_predictions_has_the_interval_of_its_trained_model(runs, images):
    results = [runs.image(row, 0, p) for row, p in (("max_pool", 60), ("linear", 64))]
    table = make(images, results)
    difference = table.lines[0].scores["top1"].difference
    assert difference.models_only and difference.low < difference.estimate < difference.high
    assert table.lines[0].scores["top1"].p is None
    text = to_markdown(table)
    assert "CI: 95 % interval over test examples, of this trained model only" in text
    assert "Holm" not in text and "Additional seeds" not in text and "No CI" not in text
    assert "this trained model only" not in text.partition("1,000-class")[2], "all are so: no footnotes"
    assert _read(table)["Top-1 difference interval over"][0] == "examples, these trained models only"


def test_one_row_with_one_seed_among_others_says_so_beside_its_difference(runs, images):
    results = [runs.image(row, s, p) for row, p in (("max_pool", 60), ("linear", 64)) for s in range(3)]
    text = to_markdown(make(images, [*results, runs.image("avg_pool", 0, 62)]))
    assert "<sup>b</sup> interval over test examples, this trained model only." in text
    assert "Where a row or the baseline has one seed, CI: 95 % interval over test examples" in text


def test_one_seed_each_that_predicts_the_same_varies_in_nothing(runs, images):
    results = [runs.image("max_pool", 0, 60), runs.image("linear", 0, 60)]
    with np.load(results[0].predictions) as file:
        np.savez(results[1].predictions, **file)
    results[1].metrics["metrics"].update(results[0].metrics["metrics"])
    text = to_markdown(make(images, results))
    assert "No CI: scores do not vary" in text and "one seed, and" not in text


def test_errors_that_are_no_numbers_are_no_examples(runs, series):
    """A score that is finite by luck, with a window whose error is not."""
    results = [runs.series(row, s, 0.5) for row in ("vanilla", "pope") for s in range(2)]
    squared = np.full(500, 0.5, np.float32)
    squared[3] = np.inf
    np.savez(results[-1].predictions, squared_error=squared, absolute_error=squared)
    difference = make(series, results).lines[1].scores["mse"].difference
    assert difference.example_df is None and difference.low is not None


@pytest.mark.parametrize("seeds", [(1, 5), (2, 5), (5, 2)])
def test_unequal_seeds_are_welchs(seeds):
    rng = np.random.default_rng(12)
    a, b = (rng.normal(70, 1, n) for n in seeds)
    results = [_plain(row, s, top1=x) for row, xs in (("a", a), ("b", b)) for s, x in enumerate(xs)]
    difference = make(_two(), results).lines[1].scores["top1"].difference
    if 1 in seeds:
        assert difference.low is None
    else:
        low, high = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
        assert (difference.low, difference.high) == pytest.approx((low, high))


def test_a_row_that_never_varies_is_compared_with_one_that_does():
    """A forecast without training scores the same whatever the seed: all variance is the other row's."""
    a, b = [70.0, 70.0, 70.0], [71.0, 72.5, 71.8]
    results = [_plain(row, s, top1=x) for row, xs in (("a", a), ("b", b)) for s, x in enumerate(xs)]
    difference = make(_two(), results).lines[1].scores["top1"].difference
    low, high = stats.ttest_1samp(np.subtract(b, 70), 0).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((low, high))


def test_rows_of_several_models_are_compared_with_one_baseline(runs):
    """Published values are looked up for the row's own model, and the block's heading names none."""
    rows = tuple(
        Row(f"{model}/{name}", f"{model}, {name}", name, {"model": model})
        for model in ("favit_b0", "favit_b2")
        for name in ("max_pool", "probsparse")
    )
    spec = TableSpec(
        "m", "M", "tab:m", "classification", rows, "favit_b0/max_pool", ("dataset",), head="Model"
    )
    results = []
    for row in rows:
        model, name = row.id.split("/")
        for seed in range(2):
            run = runs.image(name, seed, 60 + 5 * (model == "favit_b2"), model=model)
            results.append(replace(run, row_id=row.id, group={"dataset": "cifar100"}))
    table = make(spec, results)
    assert [len(group.lines) for group in table.groups] == [4]
    by_row = {line.row.id: line.scores["top1"] for line in table.lines}
    assert [name for name, score in by_row.items() if score.difference is None] == ["favit_b0/max_pool"]
    assert by_row["favit_b0/probsparse"].published.value == 70.77
    assert by_row["favit_b2/probsparse"].published is None
    assert "| Model |" in to_markdown(table)
