"""What a table is made from: the state of each run that a sweep asks for, and its predictions on disk."""

from __future__ import annotations

import math
import zlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

State = Literal["valid", "accepted", "stale", "missing", "running"]
STATES: tuple[State, ...] = ("valid", "accepted", "stale", "missing", "running")


@dataclass(frozen=True)
class RunResult:
    """One run of a sweep, finished or not.

    row_id: the row of the table that it belongs to.
    group: the values of ``TableSpec.group_by``, such as ``{"dataset": "etth1", "model": "informer"}``.
    state: ``valid`` and ``accepted`` runs are averaged, others are a footnote.
    metrics: content of ``metrics.json``; None where there is none.
    predictions: ``predictions.npz``; without it intervals are over seeds only.
    note: why a run is accepted or stale, shown in the footnote.
    randomness: runs of two rows are paired where these are equal (same data order, augmentation and
        initialisation); None pairs with nothing.
    """

    row_id: str
    group: Mapping[str, Any]
    seed: int
    state: State
    metrics: Mapping[str, Any] | None = None
    predictions: Path | None = None
    note: str = ""
    randomness: Hashable = None

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"unknown state {self.state!r} of a run; valid: {', '.join(STATES)}")

    @property
    def diverged(self) -> bool:
        """The loss stopped being a number: this run has no score."""
        return self.metrics is not None and self.metrics.get("status") == "diverged"

    def score(self, metric: str) -> float | None:
        """A metric of the last (or chosen) epoch; None unless this run counts and the value is finite."""
        if self.state not in ("valid", "accepted") or self.metrics is None or self.diverged:
            return None
        value = self.metrics.get("metrics", {}).get(metric)
        return float(value) if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Metric:
    """One score of a task. ``unit`` belongs to the score, ``difference_unit`` to differences of it.

    headline: printed with its comparison to the baseline; that of others is in the CSV only.
    """

    key: str
    label: str
    unit: str
    difference_unit: str
    higher_is_better: bool
    decimals: int
    headline: bool = True

    @property
    def title(self) -> str:
        """Heading with unit: ``Top-1 (%)``."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS: Mapping[str, tuple[Metric, ...]] = {
    "classification": (
        Metric("top1", "Top-1", "%", "points", True, 2),
        Metric("top5", "Top-5", "%", "points", True, 2, headline=False),
    ),
    "forecasting": (
        Metric("mse", "MSE", "", "", False, 3),
        Metric("mae", "MAE", "", "", False, 3),
    ),
}


@dataclass(frozen=True)
class Examples:
    """A run's scores by test example, in the unit of the table.

    scores: metric -> (N,). order: equal for runs whose examples are the same ones in the same order.
    """

    scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    order: Hashable = None


def load_examples(path: Path, task: str) -> Examples:
    """Read a run's ``predictions.npz``: percent right or wrong for images, errors of windows for series."""
    with np.load(path) as file:
        if task == "classification":
            labels = file["labels"]
            right = {"top1": labels == file["predicted"], "top5": file["correct5"]}  # (N,) bool
            return Examples({k: np.float32(100) * v for k, v in right.items()}, zlib.crc32(labels.tobytes()))
        errors = {"mse": file["squared_error"], "mae": file["absolute_error"]}  # (N windows,)
        return Examples(errors, len(errors["mse"]))
