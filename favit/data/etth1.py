"""ETTh1: load and oil temperature of a transformer, hourly, 2016-07 to 2018-06 (CC BY-ND 4.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from favit.components.flat import own
from favit.data._ett import load_ett
from favit.data._series import Series

TASK = "forecasting"
FACTS = {"variables": 7, "time_features": 4}
FILES = {"ett/ETTh1.csv": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"}
SOURCES = {
    "ett/ETTh1.csv": {
        "url": "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
        "sha256": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    },
}


@dataclass(frozen=True)
class Settings:
    """The settings of this data set: ``dataset.gaps``."""

    gaps: Literal["error", "interpolate"] = "error"
    """What to do if steps or values are missing."""


def load(root: Path, run: Mapping[str, Any]) -> Series:
    """The series under the data root, split for the run's ``input_length`` and ``horizon``."""
    return load_ett(root / "ett" / "ETTh1.csv", 24, Settings(**own(run, "dataset")).gaps, run)
