"""Reading a series from CSV, and saying clearly what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from favit.data._missing import DataMissing

GAPS = ("error", "interpolate")
DATE = "date"

# Steps of unequal length that are regular all the same: working days, months, quarters, years.
CALENDARS = ("B", "MS", "ME", "QS", "QE", "YS", "YE")


def read_table(path: Path, columns: Sequence[str] | None = None, gaps: str = "error") -> pd.DataFrame:
    """The numeric ``columns`` (None: all besides ``date``) as float64, indexed by their regular dates.

    ``gaps="interpolate"`` fills missing steps and missing values linearly in
    time, over the borders of training and test parts too; ``"error"`` refuses
    them. Raises ``DataMissing`` without the file, and ``ValueError`` naming
    file, column and first date for everything else.
    """
    if gaps not in GAPS:
        raise ValueError(f"gaps must be one of {', '.join(GAPS)}, not {gaps!r}")
    table = _parsed(path)
    wanted = list(columns) if columns is not None else [name for name in table.columns if name != DATE]
    _check_columns(path, table, [DATE, *wanted])
    numbers = table[wanted].apply(_numeric, path=path).set_axis(_dates(path, table[DATE]))
    regular = _regular(path, numbers, gaps)
    return _complete(path, regular, gaps)


def step_of(dates: pd.DatetimeIndex) -> pd.Timedelta:
    """The series' step: the commonest difference between neighbours."""
    return pd.Series(dates).diff().mode()[0]


def _parsed(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataMissing(path)
    try:
        return pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV file: {error}") from error


def _check_columns(path: Path, table: pd.DataFrame, wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path}: missing columns {', '.join(missing)}; found {', '.join(map(str, table.columns))}"
        )
    if wanted == [DATE]:
        raise ValueError(f"{path}: no columns besides '{DATE}'")
    if len(table) < 3:
        raise ValueError(f"{path}: {len(table)} rows are too few for a series")


def _numeric(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    text = column[numbers.isna() & column.notna()]
    if len(text):
        raise ValueError(
            f"{path}: column '{column.name}' is not numeric: {text.iloc[0]!r} in line {text.index[0] + 2}"
        )
    return numbers.where(np.isfinite(numbers))


def _dates(path: Path, column: pd.Series) -> pd.DatetimeIndex:
    dates = pd.to_datetime(column, errors="coerce")
    bad = column[dates.isna()]
    if len(bad):
        raise ValueError(f"{path}: '{bad.iloc[0]}' in line {bad.index[0] + 2} is not a date")
    backwards = column[dates.diff() <= pd.Timedelta(0)]
    if len(backwards):
        raise ValueError(
            f"{path}: dates must increase; '{backwards.iloc[0]}' in line {backwards.index[0] + 2} does not"
        )
    return pd.DatetimeIndex(dates)


def _regular(path: Path, numbers: pd.DataFrame, gaps: str) -> pd.DataFrame:
    """The table on a regular grid of dates; steps that the file lacks hold NaN."""
    dates = pd.DatetimeIndex(numbers.index)
    step = step_of(dates)
    if any(_follows(dates, rule) for rule in (step, *CALENDARS)):
        return numbers
    odd = dates[1:][(dates[1:] - dates[:-1]) % step != pd.Timedelta(0)]
    if len(odd):
        raise ValueError(f"{path}: irregular times: {odd[0]} is no multiple of {step} after the row before")
    grid = pd.date_range(dates[0], dates[-1], freq=step)
    absent = grid.difference(dates)
    if gaps == "error":
        raise ValueError(
            f"{path}: {len(absent)} steps of {step} are missing, the first at {absent[0]}; "
            "dataset.gaps: interpolate fills them"
        )
    return numbers.reindex(grid)


def _follows(dates: pd.DatetimeIndex, rule: str | pd.Timedelta) -> bool:
    return dates.equals(pd.date_range(dates[0], dates[-1], freq=rule))


def _complete(path: Path, table: pd.DataFrame, gaps: str) -> pd.DataFrame:
    """The table without missing values."""
    if gaps == "interpolate":
        table = table.interpolate(method="time", limit_area="inside")
    hollow = table.isna()
    if hollow.any(axis=None):
        name = hollow.any().idxmax()
        where = (
            "at an end of the series, where nothing can be interpolated"
            if gaps == "interpolate"
            else ("dataset.gaps: interpolate fills them")
        )
        raise ValueError(
            f"{path}: column '{name}' has {int(hollow[name].sum())} missing values, "
            f"the first at {hollow[name].idxmax()}; {where}"
        )
    return table
