"""A CSV file as its owner wrote it, brought to a table of regular dates; what is wrong is told with its remedy.

What the data sets of the house are read with (``favit/data/_csv.py``) is left as it is: their results do not depend on
what is said here of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from favit.data import _csv
from favit.data._missing import DataMissing

SEPARATORS = {"tab": "\t", "space": " "}  # words for what is hard to see


def read_table(
    path: Path, date: str, columns: Sequence[str] | None, separator: str, decimal: str, gaps: str
) -> pd.DataFrame:
    """The numeric ``columns`` (None: all besides ``date``) as float64, indexed by their regular dates.

    ``separator`` parts columns, ``decimal`` is the point of numbers. ``gaps`` is as in ``_csv.read_table``. Raises
    ``DataMissing`` without the file, and ``ValueError`` of one line that names the setting, or the change of the file,
    that helps.
    """
    table = _parsed(path, SEPARATORS.get(separator, separator), decimal)
    _check_date(path, table, date, separator)
    wanted = list(columns) if columns is not None else [name for name in table.columns if name != date]
    if columns is None:
        _check_named(path, wanted)
    if absent := [name for name in wanted if name not in table.columns]:
        raise ValueError(
            f"{path} has no column {', '.join(map(repr, absent))}, which dataset.columns names; "
            f"there are {_listed(table)}"
        )
    if not wanted:
        raise ValueError(
            f"{path} has no column besides '{date}'; is dataset.separator ({separator!r}) the right one?"
        )
    if len(table) < 3:
        raise ValueError(f"{path}: {len(table)} rows are too few for a series")
    for name in wanted:
        _check_numeric(path, table[name], decimal)
    numbers = table[wanted].astype("float64").set_axis(_dates(path, table[date], date))
    finite = numbers.where(numbers.abs() != float("inf"))
    return _csv._complete(path, _csv._regular(path, finite, gaps), gaps)


def _parsed(path: Path, separator: str, decimal: str) -> pd.DataFrame:
    if not path.is_file():
        raise DataMissing(path, "dataset.path names it, relative to the folder of the data")
    try:
        # A row of more fields than the header would make an index of its first ones, unsaid
        return pd.read_csv(path, sep=separator, decimal=decimal, index_col=False, on_bad_lines="error")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV file: {' '.join(str(error).split())}") from error


def _check_date(path: Path, table: pd.DataFrame, date: str, separator: str) -> None:
    if date in table.columns:
        return
    first = str(table.columns[0])
    if len(table.columns) == 1 and (found := next((s for s in ";\t|, " if s in first), "")):
        name = next((word for word, sign in SEPARATORS.items() if sign == found), found)
        raise ValueError(f"{path} has one column, {first!r}; dataset.separator: '{name}' would part it")
    near = [str(name) for name in table.columns if str(name).strip().lower() in (date.lower(), *_USUAL)]
    hint = f"dataset.date: {near[0]}" if near else "dataset.date names the column of the dates"
    raise ValueError(f"{path} has no column '{date}'; {hint}; there are {_listed(table)}")


_USUAL = ("date", "datetime", "time", "timestamp", "ds")


def _check_named(path: Path, wanted: Sequence[str]) -> None:
    """A column without a name, or with the name that pandas gives one, is an index and no variable."""
    if nameless := [name for name in wanted if str(name).startswith("Unnamed: ") or not str(name).strip()]:
        raise ValueError(
            f"{path}: a column has no name ({nameless[0]!r}), as the index that pandas writes; write the file with "
            "to_csv(index=False), or name the variables in dataset.columns"
        )


def _check_numeric(path: Path, column: pd.Series, decimal: str) -> None:
    if column.dtype == bool or not pd.api.types.is_numeric_dtype(column):
        text = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
        text = text if len(text) else column
        other = "," if decimal == "." else "."
        swapped = str(text.iloc[0]).replace(decimal, "").replace(other, ".").lstrip("+-")
        helps = (
            f"dataset.decimal: '{other}' reads it"
            if swapped.replace(".", "", 1).isdigit()
            else "leave it out of dataset.columns, which names the variables"
        )
        raise ValueError(
            f"{path}: column '{column.name}' is not numeric: {text.iloc[0]!r} in line {text.index[0] + 2}; {helps}"
        )


def _dates(path: Path, column: pd.Series, date: str) -> pd.DatetimeIndex:
    if pd.api.types.is_numeric_dtype(column):
        # pandas would take them for nanoseconds since 1970
        raise ValueError(
            f"{path}: column '{date}' holds numbers ({column.iloc[0]!r}) and no dates; write them as 2020-01-31 or "
            "2020-01-31 13:00, or name another column with dataset.date"
        )
    try:
        return _csv._dates(path, column)
    except (ValueError, TypeError) as error:
        said = str(error)
        raise ValueError(said if str(path) in said else f"{path}: column '{date}': {said}") from None


def _listed(table: pd.DataFrame) -> str:
    return ", ".join(repr(str(name)) for name in table.columns)
