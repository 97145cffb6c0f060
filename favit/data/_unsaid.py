"""What lies in a user's file or folder and is not what they meant, though it can be read: told before it is trained on.

Asked by ``favit check`` and before anything is queued. Apart from what loads the data, which is part of a run's code.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from favit.components import registry
from favit.components.flat import own
from favit.data import _index, _pictures
from favit.data import csv as _table
from favit.data._own_csv import SEPARATORS
from favit.data._series import Series

_PARTS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")


def check(root: Path, run: Mapping[str, Any]) -> Any:
    """Load a run's data, if a file or folder of the user's is all that they are; returns them, None for pictures.

    ``ValueError`` of one line for what cannot be read and for what would be read as something else. Of pictures only
    the names are looked at.
    """
    if run["dataset"] == "csv":
        return _series(root, run)
    if run["dataset"] == "image_folder":
        _folder(Path(root) / run["dataset.path"], run)
    return None


def _series(root: Path, run: Mapping[str, Any]) -> Series:
    chosen = _table.Settings(**own(run, "dataset"))
    path = root / chosen.path
    if path.is_dir():
        raise ValueError(f"{path} is a folder; dataset.path names a file")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        warnings.filterwarnings("error", message="Could not infer format")
        try:
            series: Series = registry.load("data", "csv").load(root, run)
        except pd.errors.ParserWarning:
            raise ValueError(
                f"{path}: its rows have more fields than its first line has names, and the last ones would be dropped; "
                "a decimal comma needs another dataset.separator, and a first line that names no columns must go"
            ) from None
        except UserWarning:
            raise ValueError(
                f"{path}: column '{chosen.date}' is not written as dates are; write 2020-01-31 or 2020-01-31 13:00"
            ) from None
        except ValueError as error:
            raise ValueError(_with_remedy(path, str(error))) from None
    _check_names(path, chosen, series.columns)
    widest = series.values.abs().amax(0)
    if not series.standardise().isfinite().all() or not series.std.isfinite().all():
        name = series.columns[int(widest.argmax())]
        raise ValueError(
            f"{path}: column '{name}' has values of up to {widest.max():.3g}, which cannot be standardised; scale them"
        )
    return series


# What a message says -> the remedy to add, or with a path the sentence to say instead. Loading, which is part of a
# run's code and so of what its results depend on, says the first part alone.
_REMEDIES = (
    ("dates must increase", "sort the rows by their dates, each once"),
    (
        "a window of input",
        "more rows, a smaller input_length or horizon, or other dataset.train and validation",
    ),
    ("irregular times", "steps are equal, or working days, first or last days of months, quarters or years"),
    ("nothing can be interpolated", "fill it, cut the rows, or leave the column out of dataset.columns"),
    ("is not a date", "write all dates alike, as 2020-01-31 or 2020-01-31 13:00"),
    ("leave it out of dataset.columns", "an empty field is a missing value"),
    ("rows are too few", "at least an input and a horizon in each of three parts are needed"),
)
_INSTEAD = (
    (r"codec can't decode", "{path} is not UTF-8; save it so (iconv -f latin1 -t utf-8, or your editor)"),
    (
        r"ixed timezones",
        "{path}: its dates have several time zones, as over a change of the clocks; write them in UTC",
    ),
    (r"'nan' in line (\d+) is not a date", "{path}: line {0} has no date; fill it in or remove the line"),
    (
        r"line terminator",
        "dataset.separator is the end of a line; it is one sign, such as ',' or ';', or tab or space",
    ),
    (
        r"column (.*) is not numeric: (.*\d[.,]\d{3}[.,].*) in line (\d+)",
        "{path}: column {0} is not numeric: {1} in line {2}; separators of thousands are not read, remove them",
    ),
)


def _with_remedy(path: Path, said: str) -> str:
    for pattern, sentence in _INSTEAD:
        if found := re.search(pattern, said):
            return sentence.format(*found.groups(), path=path)
    remedy = next((remedy for words, remedy in _REMEDIES if words in said), "")
    return f"{said}; {remedy}" if remedy else said


def _check_names(path: Path, chosen: _table.Settings, columns: tuple[str, ...]) -> None:
    """No variable stands twice: pandas calls the second of two ``x`` in a file ``x.1``, unsaid."""
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise ValueError(f"dataset.columns names '{twice[0]}' twice")
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, delimiter=SEPARATORS.get(chosen.separator, chosen.separator)), [])
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"{path} has two columns '{twice[0]}'; rename one of them")


def _folder(folder: Path, run: Mapping[str, Any]) -> None:
    if folder.is_file():
        raise ValueError(f"{folder} is a file; dataset.path names a folder")
    if (folder / _index.NAME).is_file() or not folder.is_dir():
        return  # prepared, or absent, which is told as such
    below = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    parts = [name for name in below if name.lower() in _PARTS]
    if "train" not in below and parts and parts == below:
        raise ValueError(
            f"{folder} has {', '.join(f'{name}/' for name in parts)}, which would be taken for classes; the parts are "
            "called train/, test/ and val/, each with a folder for each class"
        )
    odd = [name for name in parts if name.lower() not in ("train", *_pictures.PARTS)]
    if odd and not set(_pictures.PARTS) & set(below):
        raise ValueError(f"{folder} has {odd[0]}/, which is not looked at; call it test/ or val/")
    chosen = registry.load("data", "image_folder").Settings(**own(run, "dataset"))
    classes = folder / "train" if "train" in below else folder
    _check_kinds(classes)
    found = _pictures.listed(folder, chosen.scored, chosen.test_share, chosen.split_seed)
    if len(found.classes) == 1:
        raise ValueError(
            f"{classes} has one folder, '{found.classes[0]}', and so one class; at least two are needed, each with its "
            "pictures in a folder of its own"
        )


def _check_kinds(folder: Path) -> None:
    """No class has only files of kinds that are passed over."""
    for below in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        kinds = {p.suffix.lower() for p in below.rglob("*") if p.is_file() and not p.name.startswith(".")}
        if kinds and not kinds & set(_pictures.SUFFIXES):
            raise ValueError(
                f"{below} has files, but no pictures that can be read: {', '.join(sorted(kinds))}; allowed: "
                f"{', '.join(_pictures.SUFFIXES)}"
            )
