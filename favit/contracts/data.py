"""The contract of data sets; ``favit/data/__init__.py`` has it in words."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from favit.components import registry
from favit.components.facts import facts, feed_of
from favit.components.literals import literals, task_of
from favit.data import _unsaid
from favit.data._series import PARTS
from favit.identity.digests import data_files

Run = Mapping[str, Any]


def states_what_it_holds(name: str, root: Path, run: Run) -> None:
    """``FACTS`` match the data, or the data set counts them itself."""
    data = _load(name, root, run)
    found = facts(name, data)
    wanted = ("classes", "channels") if task_of(name) == "classification" else ("variables", "time_features")
    for key in wanted:
        assert type(found.get(key)) is int and found[key] > 0, f"FACTS must say how many {key} there are"
    if task_of(name) == "classification":
        there = len(data.class_names)
        assert there == found["classes"], f"FACTS say {found['classes']} classes, class_names has {there}"
    else:
        shape = data.values.shape[1], data.marks.shape[1]
        assert shape == (found["variables"], found["time_features"]), (
            f"FACTS say {dict(found)}, the data have {shape}"
        )


def has_the_shapes_of_its_task(name: str, root: Path, run: Run) -> None:
    """Images are (N, 3, H, W) uint8 with labels (N,) int64; series are (T, V) float64 with marks (T, F) float32."""
    data = _load(name, root, run)
    if task_of(name) == "forecasting":
        assert data.values.ndim == 2 and data.values.dtype == torch.float64, "values are (T, V) float64"
        assert data.values.isfinite().all(), "values are not finite"
        assert data.marks.shape[0] == len(data.values) and data.marks.dtype == torch.float32, (
            "marks are (T, F) float32"
        )
        assert len(data.timestamps) == len(data.values) and len(data.columns) == data.values.shape[1]
        return
    for part in ("train", "test") if feed_of(name) == "memory" else ():
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        assert images.ndim == 4 and images.shape[1] == 3, (
            f"{part}_images are {tuple(images.shape)}, not (N, 3, H, W)"
        )
        assert images.dtype == torch.uint8, f"{part}_images are {images.dtype}, not uint8"
        assert labels.shape == images.shape[:1] and labels.dtype == torch.int64, (
            f"{part}_labels are (N,) int64"
        )


def has_sensible_parts(name: str, root: Path, run: Run) -> None:
    """Every part has examples; labels are classes; mean and deviation are finite; no test row is trained on."""
    data = _load(name, root, run)
    if task_of(name) == "forecasting":
        ends = [end for _, end in data.borders]
        assert ends == sorted(ends) and len(set(ends)) == len(ends), (
            f"parts end at rows {ends}, which must increase"
        )
        for part in PARTS:
            assert data.window_starts(part, run["input_length"], run["horizon"])
        return
    assert all(math.isfinite(v) for v in (*data.mean, *data.std)) and min(data.std) > 0, (
        "mean and std a channel"
    )
    parts = (
        (data.train_labels, data.test_labels)
        if feed_of(name) == "memory"
        else (data.train.labels, data.test.labels)
    )
    for labels in parts:
        assert len(labels), "a part has no images"
        assert labels.min() >= 0 and labels.max() < len(data.class_names), "a label is not a class"


def is_the_same_each_time(name: str, root: Path, run: Run) -> None:
    """Loading twice gives the same data in the same order, whatever random numbers were drawn."""
    first = _load(name, root, run)
    torch.rand(1)
    second = _load(name, root, run)
    for key in ("train_images", "train_labels", "test_images", "test_labels", "values", "marks"):
        if hasattr(first, key):
            assert torch.equal(getattr(first, key), getattr(second, key)), f"{key} differ"


def names_the_files_that_it_reads(name: str, root: Path, run: Run) -> None:
    """All files that it reads in the data folder are named in ``FILES`` or by ``FILE_SETTING``, and so digested."""
    with _opened_below(root) as opened:
        _load(name, root, run)
    if "COUNTS" in literals("data", name) or feed_of(name) != "memory":
        return  # its index stands for them
    named = {path.resolve() for path in data_files(run, root).values()}
    unnamed = sorted(str(path) for path in opened - named)
    assert not unnamed, f"it reads {unnamed[0]}, which is not tracked; name it in FILES"


def is_what_was_meant(name: str, root: Path, run: Run) -> None:
    """Of a user's file or folder nothing is dropped, renamed or taken for something else."""
    _unsaid.check(root, run)


CHECKS = (
    states_what_it_holds,
    has_the_shapes_of_its_task,
    has_sensible_parts,
    is_the_same_each_time,
    names_the_files_that_it_reads,
    is_what_was_meant,
)
SLOW = ()


def _load(name: str, root: Path, run: Run) -> Any:
    return registry.load("data", name).load(root, run)


_watched: list[tuple[Path, set[Path]]] = []
_hooks: list[bool] = []  # an audit hook stays for the life of a process: one is enough


@contextmanager
def _opened_below(root: Path) -> Iterator[set[Path]]:
    """The files below a folder that this process opens meanwhile."""
    found: set[Path] = set()
    if not _hooks:
        sys.addaudithook(_heard)
        _hooks.append(True)
    _watched.append((root.resolve(), found))
    try:
        yield found
    finally:
        _watched.pop()


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes):
        path = (
            Path(arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0])
            .absolute()
            .resolve()
        )
        for root, found in _watched:
            if path.is_relative_to(root) and path.is_file():
                found.add(path)
