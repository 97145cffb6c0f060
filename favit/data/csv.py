"""Any CSV file with a column of dates and numeric columns, split by shares of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from favit.components.bounds import Above, Below
from favit.components.checks import check_fields
from favit.components.flat import own
from favit.data._load import series_of, shares
from favit.data._own_csv import read_table
from favit.data._series import Series

TASK = "forecasting"
FILE_SETTING = "path"  # the setting that names the file, relative to the data root


@dataclass(frozen=True)
class Settings:
    """The settings of this data set: ``dataset.path`` and so on."""

    path: str = ""
    """The file, relative to the folder of the data."""
    columns: str = ""
    """Names of the variables joined by commas; none: all columns besides the dates."""
    date: str = "date"
    """Name of the column of the dates."""
    separator: str = ","
    """Separator of columns: one character, or the word tab or space."""
    decimal: Literal[".", ","] = "."
    """Decimal separator of numbers."""
    train: Annotated[float, Above(0.0), Below(1.0)] = 0.7
    """Share of the rows for training, from the beginning."""
    validation: Annotated[float, Above(0.0), Below(1.0)] = 0.1
    """Share of the rows for validation, which follow; the rest is the test part."""
    gaps: Literal["error", "interpolate"] = "error"
    """What to do if steps or values are missing."""

    def __post_init__(self) -> None:
        """``ValueError`` for what the annotations or ``check_settings`` do not allow."""
        check_fields(self)
        check_settings(self.path, self.date, self.separator, self.decimal, self.train, self.validation)


def check_settings(
    path: str, date: str, separator: str, decimal: str, train: float, validation: float
) -> None:
    """``ValueError`` without a file, for signs that do not go together, or where nothing is left for the test."""
    if not path:
        raise ValueError("dataset.path is ''; it names the file, relative to the folder of the data")
    if not date:
        raise ValueError("dataset.date is ''; it names the column of the dates")
    if len(separator) != 1 and separator not in ("tab", "space"):
        raise ValueError(
            f"dataset.separator is {separator!r}; it is one sign, such as ',' or ';', or tab or space"
        )
    if separator == decimal:
        raise ValueError(
            f"dataset.separator and dataset.decimal are both {decimal!r}; one of them is another sign"
        )
    if train + validation >= 1:
        raise ValueError(
            f"the shares dataset.train ({train}) and dataset.validation ({validation}) leave no rows for the test"
        )


def load(root: Path, run: Mapping[str, Any]) -> Series:
    """The series that the run's ``dataset.*`` settings describe; ``Series.facts`` counts what it holds."""
    chosen = Settings(**own(run, "dataset"))
    path = root / chosen.path
    columns = [name.strip() for name in chosen.columns.split(",")] if chosen.columns else None
    table = read_table(path, chosen.date, columns, chosen.separator, chosen.decimal, chosen.gaps)
    return series_of(path, table, shares(len(table), chosen.train, chosen.validation), run)
