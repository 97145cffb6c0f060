"""Tables: what is averaged, compared and remarked, and that the files say the same."""

from __future__ import annotations

import io
import math
import random
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from favit.analysis.render import to_csv, to_latex, to_markdown
from favit.analysis.results import RunResult
from favit.analysis.tables import Cost, Row, TableSpec, make, write
from favit.sweeps import published

GROUP = {"dataset": "cifar100", "model": "favit_b0"}


def _plain(row: str, seed: int, **metrics: float) -> RunResult:
    """A finished run without predictions."""
    return RunResult(row, GROUP, seed, "valid", {"status": "finished", "metrics": metrics}, randomness=seed)


def _two(baseline: str | None = "a", pairing: str = "auto") -> TableSpec:
    rows = (Row("a", "A"), Row("b", "B"))
    return TableSpec("two", "Two", "tab:two", "classification", rows, baseline, pairing=pairing)


def _read(table) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(table)))


def test_means_differences_and_intervals_are_scipys():
    a, b = [70.0, 71.0, 70.5], [72.0, 71.5, 73.0]
    results = [_plain("a", s, top1=x, top5=90 + s) for s, x in enumerate(a)]
    results += [_plain("b", s, top1=x, top5=91 + s * s) for s, x in enumerate(b)]
    frame = _read(make(_two(pairing="paired"), results)).set_index("row")
    assert frame.loc["b", "Top-1 (%)"] == np.mean(b)
    assert frame.loc["b", "Top-1 std (%)"] == pytest.approx(np.std(b, ddof=1))
    test = stats.ttest_rel(b, a)
    low, high = test.confidence_interval(0.95)
    found = frame.loc["b", [f"Top-1 difference {x} (points)" for x in ("to baseline", "low 95", "high 95")]]
    assert list(found) == pytest.approx([np.mean(b) - np.mean(a), low, high])
    assert frame.loc["b", "Top-1 p"] == pytest.approx(test.pvalue)
    assert frame.loc["b", "Top-1 difference paired"] == 1
    assert math.isnan(frame.loc["a", "Top-1 difference to baseline (points)"])


def test_seeds_that_share_no_randomness_are_not_paired():
    a, b = [70.0, 71.0, 70.5], [72.0, 71.5, 73.0]
    apart = [RunResult(r.row_id, GROUP, r.seed, "valid", r.metrics, randomness=(r.row_id, r.seed)) for r in
             [_plain(row, s, top1=x) for row, xs in (("a", a), ("b", b)) for s, x in enumerate(xs)]]  # fmt: skip
    score = make(_two(), apart).lines[1].scores["top1"]
    assert score.difference.paired is False
    assert score.difference.p == pytest.approx(stats.ttest_ind(b, a, equal_var=False).pvalue)
    unsaid = [RunResult(r.row_id, GROUP, r.seed, "valid", r.metrics) for r in apart]
    assert make(_two(), unsaid).lines[1].scores["top1"].difference.paired is False


def test_pairs_are_those_of_equal_randomness_not_of_equal_place():
    """Seed 5 of one row belongs to seed 0 of the other."""
    results = [_plain("a", 0, top1=70.0), _plain("a", 1, top1=80.0)]
    for seed, partner, value in ((5, 1, 82.0), (6, 0, 71.0)):
        metrics = {"status": "finished", "metrics": {"top1": value}}
        results.append(RunResult("b", GROUP, seed, "valid", metrics, randomness=partner))
    difference = make(_two(pairing="paired"), results).lines[1].scores["top1"].difference
    assert difference.seed_variances == pytest.approx((np.var([71 - 70, 82 - 80], ddof=1),))


def test_unequal_seeds_are_paired_where_two_are_shared():
    """Seeds 1 and 2 are in both rows: the paired t test of these, said beside the difference."""
    a, b = {0: 70.0, 1: 71.0, 2: 70.5}, {1: 72.0, 2: 71.0, 3: 60.0, 4: 61.0}
    results = [_plain(row, s, top1=x) for row, xs in (("a", a), ("b", b)) for s, x in xs.items()]
    table = make(_two(pairing="paired"), results)
    score = table.lines[1].scores["top1"]
    theirs = stats.ttest_rel([b[1], b[2]], [a[1], a[2]])
    assert score.mean == np.mean(list(b.values()))  # the mean is over all seeds
    assert (score.difference.estimate, score.difference.seeds, score.difference.paired) == (0.75, 2, True)
    assert (score.difference.low, score.difference.high) == pytest.approx(theirs.confidence_interval(0.95))
    assert "+0.75<sup>a</sup>" in to_markdown(table)
    assert "<sup>a</sup> Δ over the 2 seeds shared with the baseline." in to_markdown(table)
    frame = _read(table)
    assert list(frame[["Top-1 difference paired", "Top-1 difference seeds"]].loc[1]) == [1, 2]


def test_one_shared_seed_pairs_nothing():
    a, b = {0: 70.0, 1: 71.0, 2: 70.5}, {2: 72.0, 3: 71.5}
    results = [_plain(row, s, top1=x) for row, xs in (("a", a), ("b", b)) for s, x in xs.items()]
    difference = make(_two(), results).lines[1].scores["top1"].difference
    theirs = stats.ttest_ind(list(b.values()), list(a.values()), equal_var=False)
    assert (difference.paired, difference.left_out) == (False, 0)
    assert difference.p == pytest.approx(theirs.pvalue)


def test_examples_of_paired_seeds_are_those_of_the_shared_ones(runs, images):
    """A seed without a partner changes neither the difference nor its interval."""
    results = [runs.image(row, s, p) for row, p in (("max_pool", 60), ("linear", 62)) for s in range(3)]
    unpartnered = runs.image("linear", 7, 90)
    fewer, more = (
        make(replace(images, pairing="paired"), x).lines[0].scores["top1"]
        for x in (results, [unpartnered, *results])
    )
    assert more.mean > fewer.mean
    assert (more.difference.low, more.difference.high) == (fewer.difference.low, fewer.difference.high)
    assert (more.difference.left_out, fewer.difference.left_out) == (1, 0)


@pytest.mark.parametrize("shared", [1, 3])
def test_intervals_of_unequal_seeds_cover_as_often_as_they_claim(shared):
    """1,000 simulated tables, three seeds against five: effects of shared seeds cancel, the rest is in the interval."""
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(1000):
        effect = rng.normal(0, 2, 10)
        seeds = {"a": range(3), "b": range(3 - shared, 8 - shared)}
        results = [
            _plain(row, s, top1=70 + (row == "b") + effect[s] + rng.normal(0, 0.5))
            for row in "ab"
            for s in seeds[row]
        ]
        difference = make(_two(pairing="paired"), results).lines[1].scores["top1"].difference
        assert difference.paired is (shared > 1)
        covered += difference.low <= 1.0 <= difference.high
    error = 2 * math.sqrt(0.95 * 0.05 / 1000)
    assert covered / 1000 >= 0.95 - error
    if shared > 1:  # exact
        assert covered / 1000 <= 0.95 + error


def test_one_seed_shows_its_value_without_spread_or_interval():
    table = make(_two(), [_plain("a", 0, top1=70.0), _plain("b", 0, top1=72.0)])
    score = table.lines[1].scores["top1"]
    assert (score.mean, score.std, score.n, score.difference.estimate) == (72.0, None, 1, 2.0)
    assert score.difference.low is None
    text = to_markdown(table)
    assert "No CI: one seed, and predictions" in text
    assert "± " not in text and "deviation" not in text and "| Top-1 (%) |" in text
    assert "ours" not in text + to_latex(table)


def test_equal_values_make_nobody_best_and_claim_nothing():
    results = [_plain(row, seed, top1=70.0) for row in "ab" for seed in range(3)]
    table = make(_two(), results)
    assert [line.scores["top1"].place for line in table.lines] == [0, 0]
    assert table.lines[1].scores["top1"].p is None
    assert "nan" not in to_csv(table).lower()
    assert "No CI: scores do not vary" in to_markdown(table)
    assert "one seed" not in to_markdown(table) and "Bold" not in to_markdown(table)


def test_nan_and_diverged_seeds_are_left_out_and_said(runs, images):
    results = [runs.image("max_pool", s, 70) for s in range(3)]
    good = [r.metrics["metrics"]["top1"] for r in results[:1]]
    results[1].metrics["metrics"] |= {"top1": math.nan, "top5": math.nan}
    results[2].metrics["status"] = "diverged"
    line = make(images, results).lines[0]
    assert line.scores["top1"].values == tuple(good)
    assert line.notes == ("seed 2 diverged and excluded", "seed 1 without a finite score, excluded")


def test_only_valid_and_accepted_runs_are_averaged(mixed, images):
    table = make(images, mixed)
    lines = {(g.key["model"], line.row.id): line for g in table.groups for line in g.lines}
    assert lines["favit_b0", "linear"].averaged == 2  # the stale one is not in
    assert lines["favit_b0", "linear"].notes == (
        "1 of 3 runs out of date and excluded (code of favit.models.favit changed)",
    )
    assert lines["favit_b0", "pointwise_conv"].averaged == 3
    assert lines["favit_b0", "pointwise_conv"].notes == (
        "seed 0 included although out of date (reworded docstring)",
    )
    assert lines["favit_b0", "avg_pool"].notes == (
        "1 of 3 runs still running",
        "seed 1 diverged at step 7 and excluded",
    )
    assert lines["favit_b2", "probsparse"].notes == ("1 of 3 runs not finished yet",)
    assert table.partial
    assert to_markdown(table).startswith("Partial: 26 of 30 runs are done.")


def test_a_superseded_result_is_no_remark(runs, images):
    results = [runs.image("max_pool", s, 70) for s in range(2)]
    results.append(runs.image("max_pool", 1, 99, state="stale"))
    line = make(images, results).lines[0]
    assert (line.averaged, line.notes) == (2, ())


def test_a_diverged_run_is_finished(images):
    gone = {"status": "diverged", "metrics": {}}
    results = [RunResult(r.id, GROUP, 0, "valid", gone) for r in images.rows]
    assert not make(images, results).partial


def test_two_results_of_one_seed_are_an_error():
    with pytest.raises(ValueError, match="2 results of seed 0 for 'a'"):
        make(_two(), [_plain("a", 0, top1=1.0), _plain("a", 0, top1=2.0)])


def test_unknown_names_are_answered_with_the_valid_ones():
    with pytest.raises(ValueError, match="valid: a, b"):
        make(_two(), [_plain("c", 0, top1=1.0)])
    with pytest.raises(ValueError, match="valid: a, b"):
        _two(baseline="c")
    with pytest.raises(ValueError, match="valid: classification, forecasting"):
        TableSpec("x", "", "", "regression", ())
    with pytest.raises(ValueError, match="valid: valid, accepted"):
        RunResult("a", GROUP, 0, "finished")


@pytest.mark.parametrize("text", [to_csv, to_latex, to_markdown])
def test_order_of_results_changes_nothing(mixed, images, text):
    expected = text(make(images, mixed))
    for seed in range(5):
        shuffled = list(mixed)
        random.Random(seed).shuffle(shuffled)
        assert text(make(images, shuffled)) == expected


def test_csv_is_tidy_and_exact(mixed, images):
    table = make(images, mixed)
    frame = _read(table)
    assert len(frame) == 10
    assert list(frame["row"][:5]) == [row.id for row in images.rows]  # the order of the configuration
    text = frame.select_dtypes(exclude="number").columns
    assert set(text) <= {"dataset", "model", "row", "label", "remarks"} | {
        c for c in frame if "remark" in c or "interval over" in c
    }
    means = [line.scores["top1"].mean for line in table.lines]
    assert list(frame["Top-1 (%)"].dropna()) == [m for m in means if m is not None]  # to the last digit


def test_best_epoch_is_in_the_csv_only_and_named_for_what_it_is(mixed, images):
    table = make(images, mixed)
    column = _read(table)["Top-1 of best epoch selected on test data (%)"]
    assert column[3] == pytest.approx(table.lines[3].scores["top1"].mean + 0.5)
    assert "best epoch" not in to_latex(table) + to_markdown(table)


def test_best_and_second_per_direction(runs, series):
    results = [
        runs.series(row, s, mse)
        for row, mse in (("vanilla", 0.3), ("pope", 0.9), ("delta_v", 0.5))
        for s in (0, 1)
    ]
    places = {line.row.id: line.scores["mse"].place for line in make(series, results).lines}
    assert places == {"vanilla": 1, "delta_v": 2, "pope": 0}
    assert re.search(r"ProbSparse \| 2 \| \*\*0\.\d{3} ± ", to_markdown(make(series, results)))


def test_published_values_and_the_difference_to_them(runs, series, images):
    results = [runs.series("vanilla", s, 0.6, horizon=h) for s in (0, 1) for h in (24, 96)]
    near, far = (line.scores["mse"] for line in make(series, results).lines)
    assert near.published.value == 0.519
    assert near.minus_published == pytest.approx(near.mean - 0.519)
    assert far.published is None  # published for another horizon
    b2 = make(images, [runs.image("max_pool", 0, 70, model="favit_b2")]).lines[0]
    assert b2.scores["top1"].published is None  # published for another model


def test_published_file_is_complete():
    rows = published.load()
    entries = [entry for place in rows.values() for _, entry in place]
    forecasters = 2 * 4 * 4 * 2  # data sets, models, horizons, metrics
    assert len(entries) == 5 * 3 + 10 * 2 + 4 * 2 + forecasters
    assert [e.value for _, e in rows["cifar100", "favit_b0", "probsparse", "top1"]] == [70.77]
    assert all(e.note for _, e in rows["etth1", "informer", "pope_delta_v", "mae"])
    assert [e.value for _, e in rows["etth1", "dlinear", "dlinear", "mse"]] == [0.375, 0.405, 0.439, 0.472]
    assert all(entry.source for entry in entries)


def test_costs_are_shown_as_trained_and_at_a_thousand_classes(mixed, images):
    key = images.key(GROUP)
    costs = {(key, row.id): Cost(3_212_345, 612_000_000, 3_443_245) for row in images.rows}
    table = make(images, mixed, costs)
    frame = _read(table)
    assert frame["Params (M)"][0] == 3.212345
    assert frame["Params with 1000 classes (M)"][0] == 3.443245
    assert frame["Params published (M)"][0] == 3.5
    assert frame["Params with 1000 classes minus published (M)"][0] == pytest.approx(-0.056755)
    assert frame["FLOPs (G)"][0] == 0.612
    assert "multiply-accumulates" in to_latex(table)
    assert "3.21 | 3.44 | 3.5" in to_markdown(table)


@pytest.mark.parametrize(
    ("macs", "shown"),
    [
        ((612_000_000, 2_500_000_000), ("0.612", "2.500")),
        ((54_100_000, 1_000_000_000), ("0.0541", "1.0000")),
        ((1_700_000, 2_345_678), ("0.00170", "0.00235")),
        ((1_234, 2_345_678), ("0.00000", "0.00235")),  # never more than five decimals
        ((24_900_000_000, 8_000_000_000), ("24.90", "8.00")),
    ],
)
def test_small_costs_show_three_digits(macs, shown):
    costs = {(("cifar100", "favit_b0"), row): Cost(3_000_000, n) for row, n in zip("ab", macs, strict=True)}
    table = make(_two(), [_plain("a", 0, top1=70.0), _plain("b", 0, top1=72.0)], costs)
    assert tuple(line.split(" | ")[2] for line in to_markdown(table).splitlines()[4:6]) == shown
    whole = len(shown[0].partition(".")[0])
    assert f"S[table-format={whole}.{len(shown[0]) - whole - 1}]" in to_latex(table)


def test_predictions_widen_the_interval(runs, images):
    """Examples are part of the uncertainty: with predictions the interval is wider than the seeds' alone."""
    results = [runs.image(row, s, p) for row, p in (("max_pool", 60), ("probsparse", 62)) for s in range(3)]
    bare = [RunResult(r.row_id, r.group, r.seed, r.state, r.metrics, None, "", r.randomness) for r in results]
    with_examples, without = (make(images, x).lines[1].scores["top1"].difference for x in (results, bare))
    assert with_examples.estimate == without.estimate
    assert with_examples.example_df == 399
    assert without.example_df is None
    assert with_examples.high - with_examples.low > without.high - without.low
    assert "seeds and test examples together" in to_markdown(make(images, results))
    assert "interval over seeds," in to_markdown(make(images, bare))
    part = make(images, [*bare, *(runs.image("linear", s, 50) for s in range(3)), *results[:3]][3:])
    assert "test examples where both rows have predictions" in to_markdown(part)


def test_variance_is_that_of_a_bootstrap_of_the_stored_predictions(runs, images):
    """Seeds and examples drawn together, 4,000 times, from the files; the bootstrap counts interaction twice over."""
    seeds = 6
    results = [runs.image(row, s, p) for row, p in (("max_pool", 60), ("linear", 66)) for s in range(seeds)]
    right = []
    for run in results:
        with np.load(run.predictions) as file:
            right.append(100.0 * (file["labels"] == file["predicted"]))
    d = np.stack(right[seeds:]) - np.stack(right[:seeds])  # (seeds, examples)
    rng = np.random.default_rng(9)
    draws = [
        d[rng.integers(seeds, size=seeds)][:, rng.integers(d.shape[1], size=d.shape[1])].mean()
        for _ in range(4000)
    ]
    rest = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
    interaction = (rest**2).sum() / ((seeds - 1) * (d.shape[1] - 1)) / d.size
    ours = make(images, results).lines[0].scores["top1"].difference
    assert ours.estimate == pytest.approx(d.mean())
    # The bootstrap's variance of n seeds is (n - 1) / n of the unbiased one.
    by_seed = ours.seed_variances[0] / seeds * (seeds - 1) / seeds
    counted_again = interaction * (1 + (seeds - 1) / seeds)
    assert np.var(draws) == pytest.approx(by_seed + ours.example_variance + counted_again, rel=0.06)
    assert counted_again > 0.1 * np.var(draws)  # or this would not show that it is taken out


def test_examples_in_another_order_are_not_compared(runs, images):
    results = [runs.image(row, s, 60) for row in ("max_pool", "probsparse") for s in range(2)]
    with np.load(results[3].predictions) as file:
        other = {k: v[::-1] for k, v in file.items()}
    np.savez(results[3].predictions, **other)
    assert make(images, results).lines[1].scores["top1"].difference.example_df is None
    np.savez(
        results[2].predictions, **other
    )  # now the whole row agrees with itself, but not with the baseline
    assert make(images, results).lines[1].scores["top1"].difference.example_df is None


def test_windows_are_grouped_into_blocks(runs, series):
    results = [runs.series(row, s, 0.5) for row in ("vanilla", "pope") for s in range(2)]
    difference = make(series, results).lines[1].scores["mse"].difference
    assert difference.example_df == 500 // 62 - 1  # at least 8 blocks


def test_what_is_not_trained_is_one_exact_run_without_seeds(runs, series):
    exact = runs.series("pope", 0, 0.5, exact=True, randomness=None)
    table = make(series, [exact, *(runs.series("vanilla", s, 0.6) for s in range(3))])
    text = to_markdown(table)
    assert "Not trained, hence one run without seeds: PoPE." in text
    (line,) = [line for line in text.splitlines() if line.startswith("| PoPE ")]
    assert line.split("|")[2].strip() == "–"
    difference = table.lines[1].scores["mse"].difference
    assert difference.seeds == 3 and difference.p is not None and not difference.models_only


def test_open_differences_say_how_many_seeds_would_settle_them():
    a, b = [70.0, 71.0, 70.5], [70.6, 71.8, 70.4]
    results = [_plain(row, s, top1=x) for row, xs in (("a", a), ("b", b)) for s, x in enumerate(xs)]
    table = make(_two(), results)
    more = table.lines[1].scores["top1"].more_seeds
    assert 1 <= more < 100
    assert (
        f"of the observed size (80 % power, with the uncertainty of its spread): B: {more:.0f}."
        in to_markdown(table)
    )


def test_a_sweep_that_has_not_begun_has_a_table(tmp_path, images):
    missing = [RunResult(row.id, GROUP, s, "missing") for row in images.rows for s in range(5)]
    for results in (missing, []):
        paths = write(make(images, results), tmp_path, "empty")
        assert [p.suffix for p in paths] == [".csv", ".tex", ".md"]
        assert (tmp_path / "empty.md").read_text().startswith(f"Partial: 0 of {len(results)} runs are done.")
        assert len(pd.read_csv(tmp_path / "empty.csv")) == len(results) // 5


def test_groups_follow_the_configuration_then_their_values(runs, series):
    results = [runs.series("vanilla", 0, 0.5, horizon=h) for h in (96, 720, 24)]
    assert [g.title for g in make(series, results).groups] == ["Horizon 24", "Horizon 96", "Horizon 720"]
    given = TableSpec(
        **{**vars(series), "groups": ({"dataset": "etth1", "model": "informer", "horizon": 96},)}
    )
    assert [g.key["horizon"] for g in make(given, results).groups] == [96, 24, 720]
