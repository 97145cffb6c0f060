"""The input of a table: the state of each run that a sweep asks for, and its predictions on disk."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Standing = Literal["valid", "accepted", "stale", "missing", "running"]
STANDINGS: tuple[Standing, ...] = ("valid", "accepted", "stale", "missing", "running")


@dataclass(frozen=True)
class RunResult:
    """One run of a sweep, finished or not.

    row_id: the row of the table that it belongs to.
    group: the values of ``TableSpec.group_by``, such as ``{"dataset": "etth1", "model": "informer"}``.
    state: ``valid`` and ``accepted`` runs are averaged, others are a footnote.
    metrics: content of ``metrics.json``; None if there is none.
    predictions: ``predictions.npz``; without it intervals are over seeds only.
    note: why a run is accepted or stale, shown in the footnote.
    name, folder: what people call the run, and where it lies or is being trained; None if it has no place.
    randomness: runs of two rows are paired where these are equal (same data order, augmentation and
        initialisation); None pairs with nothing.
    settings: what the run was asked with, where published values are for some of them only.
    exact: of a model that is not trained, and so depends on no seed.
    """

    row_id: str
    group: Mapping[str, Any]
    seed: int
    state: Standing
    metrics: Mapping[str, Any] | None = None
    predictions: Path | None = None
    note: str = ""
    randomness: Hashable = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = False
    name: str = ""
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.state not in STANDINGS:
            raise ValueError(f"unknown state {self.state!r} of a run; valid: {', '.join(STANDINGS)}")

    @property
    def counts(self) -> bool:
        """Valid or accepted, and not diverged: its scores are averaged."""
        return self.state in ("valid", "accepted") and self.metrics is not None and not self.diverged

    @property
    def diverged(self) -> bool:
        """The loss stopped being a number: this run has no score."""
        return self.metrics is not None and self.metrics.get("status") == "diverged"

    def score(self, metric: str) -> float | None:
        """A metric of the last (or chosen) epoch; None unless this run counts and the value is finite."""
        if self.metrics is None or not self.counts:
            return None
        value = self.metrics.get("metrics", {}).get(metric)
        return float(value) if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Metric:
    """One score of a task. ``unit`` belongs to the score, ``difference_unit`` to differences of it.

    headline: printed with its comparison to the baseline; that of others is in the CSV only, because with a second
        comparison and published values a table across both columns of a paper would be too small to read.
    per_example: what an example's score counts: 100 for right or wrong in percent.
    """

    key: str
    label: str
    unit: str
    difference_unit: str
    higher_is_better: bool
    decimals: int
    headline: bool = True
    per_example: float = 1.0

    @property
    def title(self) -> str:
        """Heading with unit: ``Top-1 (%)``."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS: Mapping[str, tuple[Metric, ...]] = {
    "classification": (
        Metric("top1", "Top-1", "%", "points", True, 2, per_example=100.0),
        Metric("top5", "Top-5", "%", "points", True, 2, headline=False, per_example=100.0),
    ),
    "forecasting": (
        Metric("mse", "MSE", "", "", False, 3),
        Metric("mae", "MAE", "", "", False, 3),
    ),
}


@dataclass(frozen=True)
class Examples:
    """A run's scores by test example, which `Metric.per_example` brings to the unit of the table.

    scores: metric -> (N,). order: equal for runs whose examples are the same ones in the same order; None where
        there are none.
    """

    scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    order: Hashable = None


def load_examples(path: Path, task: str) -> Examples:
    """Read a run's ``predictions.npz``: right or wrong for images, errors of windows for series."""
    with zipfile.ZipFile(path) as file:
        if task == "classification":
            order = file.getinfo("labels.npy").CRC, file.getinfo("labels.npy").file_size
            if order not in _LABELS:
                _LABELS[order] = _array(file, "labels")
            right = {"top1": _LABELS[order] == _array(file, "predicted"), "top5": _array(file, "correct5")}
            return Examples(right, order)
        errors = {"mse": _array(file, "squared_error"), "mae": _array(file, "absolute_error")}  # (N windows,)
        return Examples(errors, len(errors["mse"]))


# The test labels met so far by their checksum: the runs of a table share them, and unpacking takes time.
_LABELS: dict[tuple[int, int], NDArray[Any]] = {}


def _array(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of an ``.npz``; quicker than ``numpy.load``, which asks more of a file than we need."""
    return np.lib.format.read_array(io.BytesIO(file.read(f"{name}.npy")), allow_pickle=False)
