"""The disk space of results, checkpoints and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from favit.components.literals import literals
from favit.data import _index
from favit.data._missing import DataMissing
from favit.identity.digests import data_files
from favit.planning.costs import Row

_BYTES = 4  # of a weight
_CHECKPOINTS = 2 * 4  # two, each of weights, two moments of Adam and, at most, averaged weights


@dataclass(frozen=True)
class Storage:
    """Bytes that the runs of a sweep leave, and that their checkpoints take while they train."""

    stays: int
    largest_run: int  # checkpoints of one run
    all_at_once: int  # checkpoints if all runs train at once


@dataclass(frozen=True)
class DataStorage:
    """Bytes of a data set, ``None`` if it is not here, and in what form they are."""

    dataset: str
    size: int | None
    form: Literal["as downloaded", "packed", "in its folders", "to be packed"]


def results_storage(rows: Sequence[Row], keep: str) -> Storage:
    """The disk space of runs with known cost; ``keep`` is what to keep of each."""
    weights = [row.cost.parameters * _BYTES for row in rows if row.cost for _ in range(row.runs)]
    passing = [_CHECKPOINTS * size for size in weights]
    stays = {"none": 0, "weights": sum(weights), "all": sum(weights) + sum(passing)}[keep]
    return Storage(stays, max(passing), sum(passing))


def data_storage(settings: Mapping[str, Any], root: Path) -> DataStorage:
    """The disk space of a run's data set, now or once it is packed."""
    name, facts = settings["dataset"], literals("data", settings["dataset"])
    files = data_files(settings, root)
    if "COUNTS" not in facts:
        there = [path.stat().st_size for path in files.values() if path.is_file()]
        return DataStorage(name, sum(there) if len(there) == len(files) else None, "as downloaded")
    try:
        index = _index.read(next(iter(files.values())).parent)
    except (DataMissing, ValueError):
        return DataStorage(name, facts["BYTES"], "to be packed")
    size = sum(shard.bytes for part in index.parts.values() for shard in part.shards)
    return DataStorage(name, size, "packed" if index.images == _index.PACKED else "in its folders")
