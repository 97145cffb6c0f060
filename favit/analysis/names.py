"""Headings of blocks, what rows are, and the words of an analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from favit.sweeps.names import axis_written, written
from favit.sweeps.runs import AXES

# Of the analysis of what trained models make of their aggregators, in its files and in the report.
AGGREGATOR_USE = "aggregator-use"
AS_TRAINED, SHUFFLED = "as trained", "shuffled"

__all__ = ["group_title", "head", "written"]


def group_title(group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> str:
    """Heading of a block: what sets it apart from the other blocks; empty if it is the only one."""
    varying = [name for name in group if len({str(other.get(name)) for other in groups}) > 1]
    return _sentence(", ".join(axis_written(name, group[name]) for name in varying))


def head(rows: Sequence[str]) -> str:
    """The heading above the labels of rows that these axes make: ``Model and aggregator``, but ``lr``."""
    text = " and ".join(name.replace("_", " ") for name in rows)
    return _sentence(text) if text.partition(" ")[0] in AXES else text


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
