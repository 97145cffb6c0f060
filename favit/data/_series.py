"""Time series for forecasting: values, calendar features, and the rows of each part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

PARTS = ("train", "validation", "test")

Borders = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Series:
    """A multivariate series of T regular steps.

    ``borders`` are the row ranges of training, validation and test; those after
    the first begin ``input_length`` rows early, so that their first window's
    input is the end of the part before and every row is forecast.
    """

    values: Tensor  # (T, V) float64, in the file's units
    marks: Tensor  # (T, F) float32, calendar features in [-0.5, 0.5]
    timestamps: np.ndarray  # (T,) datetime64
    columns: tuple[str, ...]  # V names
    borders: Borders

    @property
    def facts(self) -> dict[str, int]:
        """What a model must know: the number of variables and of time features."""
        return {"variables": self.values.shape[1], "time_features": self.marks.shape[1]}

    @cached_property
    def mean(self) -> Tensor:
        """Mean of each variable over the training rows: (V,) float64."""
        return self._training_rows.mean(0)

    @cached_property
    def std(self) -> Tensor:
        """Population deviation over the training rows, 1 for a variable constant there: (V,) float64."""
        std = self._training_rows.std(0, correction=0)
        return torch.where(std > 1e-12 * self.mean.abs(), std, 1.0)

    @property
    def _training_rows(self) -> Tensor:
        start, end = self.borders[0]
        return self.values[start:end]

    def standardise(self) -> Tensor:
        """All values in standardised units: (T, V) float32. Errors are reported in these units."""
        return ((self.values - self.mean) / self.std).float()

    def window_starts(self, part: str, input_length: int, horizon: int) -> range:
        """First rows of all windows (input, then horizon) within a part. ``ValueError`` if there is none.

        ``part`` is ``train``, ``validation`` or ``test``.
        """
        start, end = self.borders[PARTS.index(part)]
        starts = range(start, end - input_length - horizon + 1)
        if not starts:
            raise ValueError(
                f"the {part} part has {end - start} rows; "
                f"a window of input {input_length} and horizon {horizon} needs {input_length + horizon}"
            )
        return starts


def borders_of(train: int, validation: int, test: int, look_back: int) -> Borders:
    """Row ranges of three consecutive parts of the given numbers of rows, the later two looking back."""
    first = max(0, train - look_back)
    second = max(0, train + validation - look_back)
    return ((0, train), (first, train + validation), (second, train + validation + test))


def calendar_features(timestamps: pd.DatetimeIndex, step: pd.Timedelta) -> Tensor:
    """Calendar features, each scaled to [-0.5, 0.5]: ``(T, F)`` float32.

    From the finest: minute (steps under an hour), hour (steps under a day),
    weekday, day of the month, day of the year. F is 5, 4 or 3.
    """
    t = timestamps
    features = [t.day_of_week / 6, (t.day - 1) / 30, (t.day_of_year - 1) / 365]
    if step < pd.Timedelta(days=1):
        features.insert(0, t.hour / 23)
    if step < pd.Timedelta(hours=1):
        features.insert(0, t.minute / 59)
    return torch.from_numpy(np.stack(features, axis=1) - 0.5).float()
