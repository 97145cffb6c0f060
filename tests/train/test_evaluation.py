"""Each example is scored exactly once, alike at any batch size and on any number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from favit.train import evaluation
from favit.train.distributed import World
from favit.train.tasks import classification, forecasting
from tests.train.runs import envelope

CPU = torch.device("cpu")


def scored(examples: int, batch_size: int, world: World | None = None) -> tuple[Tensor, list[int]]:
    """Scores of a function of the index, and the sizes of the batches that were asked for."""
    sizes = []

    def rows(indices: Tensor) -> Tensor:
        sizes.append(len(indices))
        return torch.stack([indices.float(), indices.float().square()], 1)

    return evaluation.score(examples, batch_size, rows, world or World(), CPU, lambda: None), sizes


@pytest.mark.parametrize("examples", [1, 7, 8, 9, 23])
@pytest.mark.parametrize("batch_size", [1, 4, 8, 64])
def test_each_once_and_in_order(examples: int, batch_size: int) -> None:
    scores, sizes = scored(examples, batch_size)
    assert scores[:, 0].tolist() == list(range(examples))
    assert set(sizes) == {batch_size}, "every batch has one shape"


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("examples", [1, 16, 23])
def test_several_processes_score_each_once(monkeypatch: pytest.MonkeyPatch, size: int, examples: int) -> None:
    parts: list[Tensor] = []
    monkeypatch.setattr(evaluation, "gather", lambda value, world: parts.append(value) or value[None])
    batches = []
    for rank in range(size):
        batches.append(len(scored(examples, 4, World(rank, size))[1]))
    assert len(set(batches)) == 1, "all processes score equally many batches, or one would wait for ever"
    together = torch.cat(parts)[:examples, 0]
    assert together.tolist() == list(range(examples))


def run_of(task: str, **changes: Any) -> dict[str, Any]:
    return envelope(task, **changes)["run"]


@pytest.mark.parametrize("at_once", [7, pytest.param(1000, marks=pytest.mark.slow)])
def test_image_scores_do_not_depend_on_the_batch_size(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Against one image at a time, by hand."""
    run = run_of("classification", limit_test=45)
    task = classification.Task(run, Path(), CPU, World())
    task.model.eval()
    expected = one_by_one(task)
    monkeypatch.setattr(classification, "_SCORED_AT_ONCE", at_once)
    result = task.finish(task.model, lambda: None)
    assert result.metrics["top1"] == 100 * np.mean(expected["first"])
    assert result.metrics["top5"] == 100 * np.mean(expected["five"])
    assert result.metrics["loss"] == pytest.approx(np.mean(expected["loss"]), rel=1e-5)
    assert result.predictions["predicted"].tolist() == expected["predicted"]
    assert result.predictions["correct5"].tolist() == expected["five"]
    assert result.metrics == task.evaluate(task.model, lambda: None)
    assert result.predictions["predicted"].dtype == result.predictions["labels"].dtype == np.uint16


@torch.no_grad()
def one_by_one(task: classification.Task) -> dict[str, list]:
    found: dict[str, list] = {"first": [], "five": [], "loss": [], "predicted": []}
    for image, label in zip(*task._feed._test, strict=True):
        x = classification.prepare(image[None], 32, "bicubic", task._standard)
        p = task.model(x)[0].double().softmax(0)
        order = sorted(range(10), key=lambda c: -p[c])
        found["predicted"].append(order[0])
        found["first"].append(order[0] == label.item())
        found["five"].append(label.item() in order[:5])
        found["loss"].append(-p[label].log().item())
    return found


@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_window_scores_do_not_depend_on_the_batch_size(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    run = run_of("forecasting")
    task = forecasting.Task(run, Path(), CPU, World())
    task.model.eval()
    if at_once == 1:  # one by one is slow: the last windows will do
        task._windows.starts["test"] = task._windows.starts["test"][-40:]
    expected = task.finish(task.model, lambda: None)
    monkeypatch.setattr(forecasting, "_SCORED_AT_ONCE", at_once)
    result = task.finish(task.model, lambda: None)
    assert result.metrics == pytest.approx(expected.metrics, rel=1e-6)
    assert result.extra["baseline"] == pytest.approx(expected.extra["baseline"], rel=1e-7)
    for name, values in result.predictions.items():
        np.testing.assert_allclose(values, expected.predictions[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_forecast_errors_against_a_plain_loop() -> None:
    """Windows cut from the table by slicing, errors by numpy."""
    run = run_of("forecasting")
    task = forecasting.Task(run, Path(), CPU, World())
    task.model.eval()
    series = forecasting.registry.load("data", "seattle_weather").load(Path(), run)
    values, marks = series.standardise().numpy(), series.marks.numpy()
    start, end = series.borders[2]
    input_length, label, horizon = run["input_length"], run["label_length"], run["horizon"]
    errors, repeated = [], []
    for first in range(start, end - input_length - horizon + 1):
        middle, last = first + input_length, first + input_length + horizon
        x_dec = values[middle - label : last].copy()
        x_dec[label:] = 0
        tensors = values[first:middle], marks[first:middle], x_dec, marks[middle - label : last]
        with torch.no_grad():
            forecast = task.model(*(torch.from_numpy(t)[None] for t in tensors))[0].numpy()
        errors.append(forecast - values[middle:last])
        repeated.append(values[middle - 1] - values[middle:last])
    error, repeat = np.array(errors, np.float64), np.array(repeated, np.float64)
    result = task.finish(task.model, lambda: None)
    assert len(error) == task.test_examples
    assert result.metrics["mse"] == pytest.approx((error**2).mean(), rel=1e-5)
    assert result.metrics["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert result.extra["baseline"]["repeat_last_mse"] == pytest.approx((repeat**2).mean(), rel=1e-6)
    assert result.extra["baseline"]["repeat_last_mae"] == pytest.approx(np.abs(repeat).mean(), rel=1e-6)
    found = result.predictions
    np.testing.assert_allclose(found["squared_error"], (error**2).mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found["absolute_error"], np.abs(error).mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found["by_step_squared"], (error**2).mean((0, 2)), rtol=1e-4)
    np.testing.assert_allclose(found["by_variable_absolute"], np.abs(error).mean((0, 1)), rtol=1e-4)


def test_training_reads_neither_validation_nor_test() -> None:
    """No training window reaches beyond the training rows, and every one of them is a window."""
    run = run_of("forecasting")
    task = forecasting.Task(run, Path(), CPU, World())
    series = forecasting.registry.load("data", "seattle_weather").load(Path(), run)
    train_end = series.borders[0][1]
    starts = task._windows.starts["train"]
    assert int(starts[-1]) + run["input_length"] + run["horizon"] == train_end
    assert len(starts) == task.train_examples == task.order.examples_an_epoch


def test_asking_to_stop_ends_an_evaluation() -> None:
    class Stop(Exception):
        pass

    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stop

    with pytest.raises(Stop):
        evaluation.score(100, 10, lambda i: i[:, None].float(), World(), CPU, check)
