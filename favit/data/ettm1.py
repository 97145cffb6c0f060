"""ETTm1: load and oil temperature of a transformer, every 15 minutes, 2016-07 to 2018-06 (CC BY-ND 4.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from favit.components.flat import own
from favit.data._ett import load_ett
from favit.data._series import Series

TASK = "forecasting"
FACTS = {"variables": 7, "time_features": 5}
FILES = {"ett/ETTm1.csv": "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e"}
SOURCES = {
    "ett/ETTm1.csv": {
        "url": "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTm1.csv",
        "sha256": "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
    },
}


@dataclass(frozen=True)
class Settings:
    """The settings of this data set: ``dataset.gaps``."""

    gaps: Literal["error", "interpolate"] = "error"
    """What to do if steps or values are missing."""


def load(root: Path, run: Mapping[str, Any]) -> Series:
    """The series under the data root, split for the run's ``input_length`` and ``horizon``."""
    return load_ett(root / "ett" / "ETTm1.csv", 96, Settings(**own(run, "dataset")).gaps, run)
