"""Electricity Transformer Temperature (Zhou et al. 2021, arXiv 2012.07436, section 5), split as is usual."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.data._csv import read_table
from favit.data._load import series_of
from favit.data._series import Series

COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
_MONTHS = (12, 4, 4)
_DAYS = 30


def load_ett(path: Path, steps_per_day: int, gaps: str, run: Mapping[str, Any]) -> Series:
    """12, 4 and 4 months of 30 days for training, validation and test; later rows are not used."""
    table = read_table(path, COLUMNS, gaps)
    train, validation, test = (months * _DAYS * steps_per_day for months in _MONTHS)
    return series_of(path, table, (train, validation, test), run)
