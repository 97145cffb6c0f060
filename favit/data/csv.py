"""Any CSV file with a ``date`` column and numeric columns, split by shares of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.data._csv import read_table
from favit.data._load import series_of, shares
from favit.data._series import Series

TASK = "forecasting"
FILE_SETTING = "path"  # the setting that names the file, relative to the data root

SETTINGS: dict[str, Any] = {
    "path": "",
    "columns": "",  # names joined by commas; none: all besides `date`
    "train": 0.7,  # shares of the rows; the test part is what remains
    "validation": 0.1,
    "gaps": ("error", "interpolate"),
}

REQUIRES = {
    "path": "the data set 'csv' needs dataset.path, a file below the folder of the data",
    "train > 0 and validation > 0 and train + validation < 1": (
        "shares of training and validation must be above 0 and leave rows for the test"
    ),
}


def load(root: Path, run: Mapping[str, Any]) -> Series:
    """The series that the run's ``dataset.*`` settings describe; ``Series.facts`` counts what it holds."""
    chosen = {**SETTINGS, "gaps": "error", **_dataset_settings(run)}
    if not chosen["path"]:
        raise ValueError("the data set 'csv' needs dataset.path, a file relative to the data root")
    path = root / chosen["path"]
    columns = [name.strip() for name in chosen["columns"].split(",")] if chosen["columns"] else None
    table = read_table(path, columns, chosen["gaps"])
    return series_of(path, table, shares(len(table), chosen["train"], chosen["validation"]), run)


def _dataset_settings(run: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "dataset."
    return {key.removeprefix(prefix): value for key, value in run.items() if key.startswith(prefix)}
