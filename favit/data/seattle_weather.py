"""Daily weather of Seattle, 2012 to 2015 (NOAA), from the package vega_datasets.

1,461 days without a gap: precipitation (mm), highest and lowest temperature
(degrees Celsius), wind (m/s). The column of words ("rain", "sun") is left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.data._csv import read_table
from favit.data._load import series_of, shares
from favit.data._missing import DataMissing
from favit.data._series import Series

TASK = "forecasting"
FACTS = {"variables": 4, "time_features": 3}
PACKAGE_FILES = {"vega_datasets": ["_data/seattle-weather.csv"]}

COLUMNS = ("precipitation", "temp_max", "temp_min", "wind")
TRAIN, VALIDATION = 0.7, 0.1


def load(root: Path, run: Mapping[str, Any]) -> Series:
    """The series, 70 % of the days for training, 10 % for validation, the rest for the test."""
    path = _packaged()
    table = read_table(path, COLUMNS)
    return series_of(path, table, shares(len(table), TRAIN, VALIDATION), run)


def _packaged() -> Path:
    spec = importlib.util.find_spec("vega_datasets")
    if spec is None or spec.origin is None:
        raise DataMissing(
            Path("vega_datasets/_data/seattle-weather.csv"),
            "install the package vega-datasets (part of the extra 'demo')",
        )
    return Path(spec.origin).parent / "_data" / "seattle-weather.csv"
