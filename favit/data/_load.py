"""From a table of regular dates to a ``Series`` whose parts hold windows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from favit.data._csv import step_of
from favit.data._series import PARTS, Series, borders_of, calendar_features


def series_of(path: Path, table: pd.DataFrame, parts: tuple[int, int, int], run: Mapping[str, Any]) -> Series:
    """The series of a table split into consecutive parts of the given numbers of rows.

    Raises ``ValueError`` if the table has fewer rows, or a part no window of
    the run's ``input_length`` and ``horizon``.
    """
    if sum(parts) > len(table):
        raise ValueError(
            f"{path}: {len(table)} rows; the split needs {sum(parts)} ({' + '.join(map(str, parts))})"
        )
    dates = pd.DatetimeIndex(table.index)
    series = Series(
        values=torch.tensor(table.to_numpy(), dtype=torch.float64),
        marks=calendar_features(dates, step_of(dates)),
        timestamps=dates.to_numpy(),
        columns=tuple(map(str, table.columns)),
        borders=borders_of(*parts, look_back=run["input_length"]),
    )
    for part in PARTS:
        try:
            series.window_starts(part, run["input_length"], run["horizon"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return series


def shares(rows: int, train: float, validation: float) -> tuple[int, int, int]:
    """Rows of the three parts by their shares, the test part being what remains."""
    first, second = int(rows * train), int(rows * validation)
    return first, second, rows - first - second
