"""Published results, kept as data in ``published.csv`` with their source."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("published.csv")


@dataclass(frozen=True)
class Published:
    """One published number. ``metric``: params (M), flops (G), top1 (%), mse or mae.

    text: as printed, so that its precision shows. note: what a reader should know, shown as a footnote.
    """

    text: str
    source: str
    note: str

    @property
    def value(self) -> float:
        """The number itself."""
        return float(self.text)


def find(group: Mapping[str, Any], reference: str | None, metric: str) -> Published | None:
    """The published value of a row on a group's data set and model; None where nothing was published.

    A number published for one horizon is not shown beside others; one without a horizon is shown beside all.
    """
    place = (str(group.get("dataset")), str(group.get("model")), str(reference), metric)
    horizon, published = load().get(place, ("", None))
    return published if not horizon or str(group.get("horizon", horizon)) == horizon else None


def rows() -> list[str]:
    """The names of all rows that numbers were published for."""
    return sorted({row for _, _, row, _ in load()})


@cache
def load() -> Mapping[tuple[str, str, str, str], tuple[str, Published]]:
    """All published numbers by (dataset, model, row, metric), each with its horizon or an empty text."""
    with _FILE.open(newline="", encoding="utf-8") as file:
        return {
            (r["dataset"], r["model"], r["row"], r["metric"]): (
                r["horizon"],
                Published(r["value"], r["source"], r["note"]),
            )
            for r in csv.DictReader(file)
        }
