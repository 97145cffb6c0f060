"""The interface of a task; ``favit.train.tasks.classification`` and ``.forecasting`` implement it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from favit.train.order import Batch, Order

Model = Callable[..., Tensor]
Check = Callable[[], None]  # called between the batches of an evaluation; raises to end it


@dataclass(frozen=True)
class Selection:
    """Which epoch is the best, and what depends on that."""

    on: str  # "test" or "validation"
    metric: str
    higher_is_better: bool
    decides: bool  # whether the final metrics are those of the best epoch's weights, not of the last epoch
    patience: int = 0  # end after so many epochs without a better one; 0: never


@dataclass(frozen=True)
class FinalScores:
    """The final scores."""

    metrics: dict[str, float]
    predictions: dict[str, np.ndarray]  # becomes predictions.npz
    extra: dict[str, Any] = field(default_factory=dict)  # further entries of metrics.json


class Task(Protocol):
    """A model and the data that it learns from, on one device."""

    model: nn.Module
    order: Order
    selection: Selection
    unit: str  # what an example is called in "per second"
    train_examples: int
    test_examples: int

    def batches(self, batches: Iterator[Batch], epoch: int) -> Iterator[tuple[Batch, Any]]:
        """The examples of each batch, augmented, on the device."""
        ...

    def losses(self, model: Model, examples: Any) -> Tensor:
        """The loss of each example: (b,). ``examples`` are tensors whose first axis is the batch."""
        ...

    def evaluate(self, model: Model, check: Check) -> dict[str, float]:
        """The scores of one epoch, equal on every process."""
        ...

    def finish(self, model: Model, check: Check) -> FinalScores:
        """The final scores, equal on every process."""
        ...
