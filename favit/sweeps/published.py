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


def find(place: Mapping[str, Any], reference: str | None, metric: str) -> Published | None:
    """The published value of a row for a run's data set and model; None if nothing was published.

    A number published for one horizon or one length of the input is not shown beside others, as far as ``place``
    tells them; one without is shown beside all.
    """
    key = (str(place.get("dataset")), str(place.get("model")), str(reference), metric)
    for lengths, published in load().get(key, ()):
        if all(str(place.get(name, length)) == length for name, length in lengths.items()):
            return published
    return None


def rows() -> list[str]:
    """The names of all rows that numbers were published for."""
    return sorted({row for _, _, row, _ in load()})


@cache
def load() -> Mapping[tuple[str, str, str, str], list[tuple[Mapping[str, str], Published]]]:
    """All published numbers by (dataset, model, row, metric), each with the horizon and input length it is for."""
    found: dict[tuple[str, str, str, str], list[tuple[Mapping[str, str], Published]]] = {}
    with _FILE.open(newline="", encoding="utf-8") as file:
        for r in csv.DictReader(file):
            lengths = {name: r[name] for name in ("horizon", "input_length") if r[name]}
            key = (r["dataset"], r["model"], r["row"], r["metric"])
            found.setdefault(key, []).append((lengths, Published(r["value"], r["source"], r["note"])))
    return found
