"""What can be read and is not what was meant is refused before it is trained on, and every refusal names its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from favit.data import _unsaid
from tests.data.test_own_csv import DAYS, PLAIN, RUN, VALUES, rows

HOURS = pd.date_range("2020-10-24", periods=60, freq="h", tz="Europe/Berlin").astype(str)
COMMAS = PLAIN.replace(".", ",")  # a decimal comma beside a separating one: three fields below two names


def series(folder: Path, content: bytes, **settings: Any) -> Any:
    (folder / "x.csv").write_bytes(content)
    chosen = {f"dataset.{key}": value for key, value in settings.items()}
    return _unsaid.check(folder, {"dataset": "csv", **RUN, "dataset.path": "x.csv", **chosen})


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (COMMAS, {}, "more fields than its first line has names"),
        ("# made by me\n" + PLAIN, {}, "more fields than its first line has names"),
        (rows("date,x,x", DAYS, VALUES, VALUES), {}, "two columns 'x'"),
        (PLAIN, {"columns": "x,x"}, "names 'x' twice"),
        (rows("date,x", DAYS, VALUES * 1e200), {}, "column 'x' has values of up to .*e\\+200, which cannot be"),
        (rows("date,x", [f"{i // 60:02}:{i % 60:02}" for i in range(60)], VALUES), {}, "not written as dates are"),
        (rows("date,x", HOURS, VALUES), {}, "several time zones, .*; write them in UTC"),
        (rows("date,W\udce4rme", DAYS, VALUES), {}, "x.csv is not UTF-8; save it so"),
        (PLAIN.replace("2020-01-05", ""), {}, "line 6 has no date"),
        (rows("date,x", DAYS[::-1], VALUES), {}, "dates must increase.*; sort the rows"),
        (rows("date;x", DAYS, ["1.234,5"] * 60, sign=";"), {"separator": ";", "decimal": ","},
         "'1.234,5' in line 2; separators of thousands are not read"),
        (rows("date,x", DAYS[:12], VALUES[:12]), {}, "needs 11; more rows, a smaller input_length"),
        (rows("date,x", [f"{y}-{m:02}-15" for y in range(2015, 2020) for m in range(1, 13)], VALUES), {},
         "irregular times.*; steps are equal, or working days"),
        (rows("date,x", [d.replace("-", "/") if i % 2 else d for i, d in enumerate(DAYS)], VALUES), {},
         "is not a date; write all dates alike"),
        (PLAIN, {"separator": "\n"}, "dataset.separator is the end of a line"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_what_was_meant(
    tmp_path: Path, text: str, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        series(tmp_path, text.encode(errors="surrogateescape"), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [PLAIN, "\ufeff" + PLAIN, rows("date,x,c", DAYS, VALUES, [3] * 60)])
def test_what_was_meant_is_loaded(tmp_path: Path, text: str) -> None:
    found = series(tmp_path, text.encode())
    np.testing.assert_array_equal(found.values[:, 0].numpy(), VALUES)
    with pytest.raises(ValueError, match=r"is a folder; dataset\.path names a file"):
        _unsaid.check(tmp_path.parent, {"dataset": "csv", **RUN, "dataset.path": tmp_path.name})


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"], {}, ""),
        (["cat/1.png", "cat/2.png", "Train/1.png", "Train/2.png"], {}, ""),  # the vehicle
        (["Train/cat/1.png", "Test/cat/1.png"], {}, "Test/, Train/, which would be taken for classes; the parts are"),
        (["test/cat/1.png", "test/dog/1.png"], {}, "test/, which would be taken for classes"),
        (["train/cat/1.png", "train/dog/1.png", "valid/cat/1.png"], {}, "valid/, which is not looked at; call it"),
        (["train/cat/1.png", "test/cat/1.png"], {}, "one folder, 'cat', and so one class"),
        (["cat/1.png", "cat/2.png"], {}, "one folder, 'cat', and so one class"),
        (["cat/1.png", "cat/2.png", "dog/1.heic"], {}, "dog has files, but no pictures.*: .heic; allowed: .bmp, .gif"),
        (["train/cat/1.png", "train/dog/1.png", "test/emu/1.png"], {}, "class 'emu', which train/ has not"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_what_was_meant(
    tmp_path: Path, names: list[str], settings: dict[str, Any], message: str
) -> None:
    for name in names:
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / "pets" / name, format="png")
    run = {"dataset": "image_folder", "dataset.path": "pets", **settings}
    if not message:
        assert _unsaid.check(tmp_path, run) is None
        return
    with pytest.raises(ValueError, match=message) as caught:
        _unsaid.check(tmp_path, run)
    assert "\n" not in str(caught.value)
