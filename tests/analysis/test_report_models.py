"""Figures that need a trained model: what is drawn is what the model says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from favit.analysis.figures import aggregator_use, forecasts, tokens
from favit.analysis.figures._base import Section
from favit.analysis.results import RunResult
from favit.analysis.tables import Row, TableSpec, make
from favit.components import registry
from favit.sweeps.config import load
from favit.sweeps.runs import Run, runs

ROOT = Path(__file__).parents[2]


def _kept(run: Run, folder: Path, facts: dict[str, int], metrics: dict[str, float]) -> RunResult:
    """A finished run that kept the weights of a new model."""
    folder.mkdir(parents=True)
    family = "favit" if run["model"].startswith("favit") else run["model"]
    torch.manual_seed(0)
    torch.save(registry.load("models", family).build(run.settings, facts).state_dict(), folder / "weights.pt")
    content = {"status": "finished", "run": dict(run.settings), "metrics": metrics}
    (folder / "metrics.json").write_text(json.dumps(content))
    group = {"dataset": run["dataset"], "model": run["model"]}
    return RunResult(run["aggregator"], group, run["seed"], "valid", content, folder / "predictions.npz")


def _section(task: str, results: list[RunResult]) -> Section:
    rows = tuple(Row(r.row_id, r.row_id) for r in results)
    return Section(make(TableSpec("t", "", "", task, rows), results), results)


def _of_demo(sweep: str, aggregator: str) -> Run:
    return next(r for r in runs(load(ROOT / "config.yaml"), sweep) if r["aggregator"] == aggregator)


def test_forecasts_are_the_models_and_truth_is_the_datas(tmp_path):
    pytest.importorskip("vega_datasets")
    run = _of_demo("demo-weather", "full")
    series = registry.load("data", run["dataset"]).load(tmp_path, run.settings)
    result = _kept(run, tmp_path / "run", series.facts, {"mse": 1.0, "mae": 1.0})
    figure = forecasts.draw(_section("forecasting", [result]), tmp_path).figure
    truth, forecast = (line.get_ydata() for line in figure.axes[1].get_lines()[:2])

    model = registry.load("models", "informer").build(run.settings, series.facts).eval()
    model.load_state_dict(torch.load(tmp_path / "run" / "weights.pt"))
    values, length, label, horizon = (
        series.standardise(),
        *(run[k] for k in ("input_length", "label_length", "horizon")),
    )
    starts = series.window_starts("test", length, horizon)
    now = starts[len(starts) // 2] + length
    x_dec = torch.cat([values[now - label : now], torch.zeros(horizon, values.shape[1])])
    with torch.no_grad():
        expected = model(
            values[None, now - length : now],
            series.marks[None, now - length : now],
            x_dec[None],
            series.marks[None, now - label : now + horizon],
        )
    np.testing.assert_allclose(forecast, expected[0, :, -1], atol=1e-6)
    np.testing.assert_allclose(truth[-horizon:], values[now : now + horizon, -1])


def test_without_weights_or_data_nothing_is_drawn(tmp_path, runs, series):
    results = [runs.series("vanilla", 0, 0.5)]
    assert forecasts.draw(Section(make(series, results), results), tmp_path) is None
    assert tokens.draw(Section(make(series, results), results), tmp_path) is None


def test_selected_tokens_are_drawn_for_the_stages_that_select(tmp_path):
    pytest.importorskip("sklearn")
    run = _of_demo("demo-digits", "probsparse")
    result = _kept(run, tmp_path / "run", {"classes": 10}, {"top1": 90.0, "top5": 99.0})
    plot = tokens.draw(_section("classification", [result]), tmp_path)
    labelled = [axes.get_ylabel() for axes in plot.figure.axes if axes.get_ylabel()]
    assert labelled == ["image", "stage 1", "stage 2"]  # at 64 pixels only these have several windows


def test_shares_of_selections_against_counting():
    """Two heads of 49 choices over a map of 9 x 9 tokens that two windows an axis sample with reflection."""
    rng = np.random.default_rng(0)
    along = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3])

    class Windows:
        rows = columns = torch.from_numpy(along)

    chosen = torch.from_numpy(np.stack([rng.permutation(14 * 14)[:49] for _ in range(2)])[None])
    found = tokens._shares([(Windows, chosen)], 36, 4)[0]
    for pixel in ((0, 0), (35, 35), (13, 22), (20, 8)):
        token = pixel[0] // 4, pixel[1] // 4
        hits = [any((along[i // 14], along[i % 14]) == token for i in head) for head in chosen[0].tolist()]
        assert found[pixel] == np.mean(hits)


def test_what_models_make_of_their_aggregators_is_what_was_measured_of_these_runs(tmp_path, runs):
    """Means over the seeds that were measured; what belongs to a run that is not there is left out."""
    results = [runs.image("max_pool", seed, 60) for seed in range(3)]
    lines = ["run,fused_by,images,top1,top1_change,logits_moved_percent"]
    for seed, change in ((0, -1.0), (1, -3.0)):
        folder = results[seed].predictions.parent
        lines += [
            f"{folder},as trained,50,60,0,0",
            f"{folder},zero,50,60,{change},0.5",
            f"{folder},linear,50,,,",
        ]
    lines.append("elsewhere/another,zero,50,0,-60,9")
    (tmp_path / "aggregator-use.csv").write_text("\n".join(lines) + "\n")
    spec = TableSpec("t", "", "", "classification", (Row("max_pool", "max_pool"),))
    section = Section(make(spec, results), results)
    (table,) = aggregator_use.draw(section, tmp_path).figure.axes[0].tables
    shown = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    assert [shown[0, column] for column in (0, 1)] == ["as trained", "none (zero)"]
    assert shown[1, -1] == "max_pool, n = 2"
    assert shown[1, 0] == "60.00" and shown[1, 1] == "\N{MINUS SIGN}2.00\n(0.5 %)"
    assert len(shown) == 5, "linear cannot be swapped in and has no column"
    assert aggregator_use.draw(section, tmp_path / "nowhere") is None
