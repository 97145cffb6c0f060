"""Forecasting: windows of a series, mean squared error, the best epoch by validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from favit.components import registry
from favit.components.facts import facts
from favit.train import build
from favit.train.ahead import Ahead
from favit.train.distributed import World
from favit.train.evaluation import mean, score
from favit.train.order import Batch, Order
from favit.train.settings import Forecasting, Optimisation, parse
from favit.train.task import Check, FinalScores, Model, Selection

# One shape for all scoring, whatever the run's batch size.
_SCORED_AT_ONCE = 256


class Windows:
    """All windows of a series, cut out on the device where the whole of it lies."""

    def __init__(self, series: Any, chosen: Forecasting, device: torch.device) -> None:
        self.values = series.standardise().to(device)  # (T, V)
        self.marks = series.marks.to(device)  # (T, F)
        self.input, self.label, self.horizon = chosen.input_length, chosen.label_length, chosen.horizon
        starts = {
            part: series.window_starts(part, self.input, self.horizon)
            for part in ("train", "validation", "test")
        }
        self.starts = {p: torch.arange(s.start, s.stop, device=device) for p, s in starts.items()}
        self._encoder = torch.arange(self.input, device=device)
        self._decoder = torch.arange(self.input - self.label, self.input + self.horizon, device=device)

    def cut(self, starts_b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Encoder input (b, input, V) and marks, decoder input (b, label + horizon, V), zeros where it
        forecasts, and marks, and the target (b, horizon, V)."""
        encoder, decoder = starts_b[:, None] + self._encoder, starts_b[:, None] + self._decoder
        known = self.values[decoder]
        target = known[:, self.label :]
        x_dec = torch.cat([known[:, : self.label], torch.zeros_like(target)], dim=1)
        return self.values[encoder], self.marks[encoder], x_dec, self.marks[decoder], target


class Task:
    """A forecaster and its series."""

    unit = "windows"

    def __init__(
        self, run: Mapping[str, Any], root: Path, device: torch.device, world: World, workers: int = 0
    ) -> None:
        series = registry.load("data", run["dataset"]).load(root, run)
        lengths, chosen = parse(Forecasting, run), parse(Optimisation, run)
        self._windows = Windows(series, lengths, device)
        self._world, self._device, self._ahead = world, device, Ahead(device)
        self.model: nn.Module = build.model(run, facts(run["dataset"], series), device)
        self.train_examples = len(self._windows.starts["train"])
        self.test_examples = len(self._windows.starts["test"])
        self.order = Order(self.train_examples, chosen.batch_size, lengths.drop_last, chosen.seed)
        self.selection = Selection(
            "validation", "mse", higher_is_better=False, decides=True, patience=lengths.patience
        )

    def batches(self, batches: Iterator[Batch], epoch: int) -> Iterator[tuple[Batch, Any]]:
        """Each batch with its windows, cut from the series on the device."""
        return self._ahead(self._cut(batches))

    def _cut(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, Any]]:
        starts = self._windows.starts["train"]
        for batch in batches:
            yield batch, self._windows.cut(starts[batch.indices])

    def losses(self, model: Model, examples: Any) -> Tensor:
        """Each window's mean squared error: (b,)."""
        *inputs, target = examples
        error: Tensor = model(*inputs).float() - target
        return error.square().mean((1, 2))

    def evaluate(self, model: Model, check: Check) -> dict[str, float]:
        """Errors on the validation part; the test part is not looked at."""
        return _means(self._errors("validation", model, check), self._windows.horizon)

    def finish(self, model: Model, check: Check) -> FinalScores:
        """Errors on the test part, and those of repeating the last step of the input."""
        horizon = self._windows.horizon
        errors = self._errors("test", model, check)
        baseline = _means(self._errors("test", self._repeat_last, check), horizon)
        squared, absolute = _by_step_and_variable(errors, horizon)
        predictions = {
            "squared_error": squared[0].mean(1).numpy(),
            "absolute_error": absolute[0].mean(1).numpy(),
        }
        for kind, by_axis in (("squared", squared), ("absolute", absolute)):
            for axis, part in zip(_AXES, by_axis, strict=True):
                predictions[f"by_{axis}_{kind}"] = part.double().mean(0).numpy()
        repeated = {f"repeat_last_{name}": value for name, value in baseline.items()}
        return FinalScores(_means(errors, horizon), predictions, {"baseline": repeated})

    def _errors(self, part: str, model: Model, check: Check) -> Tensor:
        """Errors of each window of a part: (windows, 2 (horizon + V)), see ``_by_step_and_variable``."""
        starts = self._windows.starts[part]

        def rows(indices: Tensor) -> Tensor:
            *inputs, target = self._windows.cut(starts[indices])
            error = model(*inputs).float() - target
            squared, absolute = error.square(), error.abs()
            return torch.cat([squared.mean(2), squared.mean(1), absolute.mean(2), absolute.mean(1)], dim=1)

        return score(len(starts), _SCORED_AT_ONCE, rows, self._world, self._device, check)

    def _repeat_last(self, x_enc: Tensor, *_: Tensor) -> Tensor:
        return x_enc[:, -1:].expand(-1, self._windows.horizon, -1)


_AXES = ("step", "variable")


def _by_step_and_variable(
    errors: Tensor, horizon: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Squared, then absolute errors, each as (windows, horizon) and (windows, V)."""
    squared, absolute = errors.chunk(2, dim=1)
    return (squared[:, :horizon], squared[:, horizon:]), (absolute[:, :horizon], absolute[:, horizon:])


def _means(errors: Tensor, horizon: int) -> dict[str, float]:
    squared, absolute = _by_step_and_variable(errors, horizon)
    return {"mse": mean(squared[0]), "mae": mean(absolute[0])}
