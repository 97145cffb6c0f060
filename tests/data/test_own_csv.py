"""CSV files as their owners write them: other signs and names; every error names the setting or change that helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from favit.data._missing import DataMissing
from favit.data.csv import Settings, load

RUN = {"input_length": 8, "label_length": 4, "horizon": 3}
DAYS = pd.date_range("2020-01-01", periods=60, freq="D").astype(str)
VALUES = np.random.default_rng(0).normal(size=60).round(3)


def loaded(folder: Path, text: str, **settings: str) -> Any:
    (folder / "x.csv").write_text(text)
    return load(folder, {**RUN, "dataset.path": "x.csv", **{f"dataset.{k}": v for k, v in settings.items()}})


def rows(header: str, *columns: Any, sign: str = ",") -> str:
    return "\n".join([header, *(sign.join(map(str, row)) for row in zip(*columns, strict=True))]) + "\n"


PLAIN = rows("date,x", DAYS, VALUES)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (PLAIN, {}),
        ("\ufeff" + PLAIN, {}),
        (PLAIN.replace("date", "Zeit"), {"date": "Zeit"}),
        (PLAIN.replace(",", ";"), {"separator": ";"}),
        (PLAIN.replace(",", "\t"), {"separator": "tab"}),
        (PLAIN.replace(",", ";").replace(".", ","), {"separator": ";", "decimal": ","}),
        (rows(",date,x", range(60), DAYS, VALUES), {"columns": "x"}),
        (rows("x,date", VALUES, DAYS), {}),
    ],
)
def test_the_same_numbers_in_another_dress(tmp_path: Path, text: str, settings: dict[str, str]) -> None:
    series = loaded(tmp_path, text, **settings)
    assert series.columns == ("x",)
    np.testing.assert_array_equal(series.values[:, 0].numpy(), VALUES)
    assert (series.timestamps == pd.DatetimeIndex(DAYS).to_numpy()).all()


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (PLAIN.replace("date", "Date"), {}, r"no column 'date'; dataset.date: Date; there are 'Date', 'x'"),
        (PLAIN.replace("date", "tag"), {}, r"no column 'date'; dataset.date names the column"),
        (PLAIN.replace(",", ";"), {}, r"one column, 'date;x'; dataset.separator: ';' would part it"),
        (PLAIN.replace(",", "\t"), {}, r"dataset.separator: 'tab' would part it"),
        (PLAIN.replace(",", ";").replace(".", ","), {"separator": ";"},
         r"not numeric: .* dataset.decimal: ',' reads it"),
        (PLAIN, {"columns": "x, y"}, r"no column 'y', which dataset.columns names; there are 'date', 'x'"),
        (rows("date,x,word", DAYS, VALUES, ["rain"] * 60), {},
         r"'word' is not numeric: 'rain' in line 2; leave it out of dataset.columns"),
        (rows(",date,x", range(60), DAYS, VALUES), {}, r"a column has no name .*to_csv\(index=False\), or name the"),
        (rows("Unnamed: 0,date,x", range(60), DAYS, VALUES), {}, r"a column has no name \('Unnamed: 0'\)"),
        (rows("date,x", range(60), VALUES), {}, 
         r"'date' holds numbers \(.*0.*\) and no dates; write them as 2020-01-31"),
        (rows("date,x", range(20200101, 20200161), VALUES), {}, r"'date' holds numbers"),
        (rows("date,x", np.arange(60) / 2, VALUES), {}, r"'date' holds numbers"),
        (rows("date,x", ["soon"] * 60, VALUES), {}, r"'soon' in line 2 is not a date"),
        (rows("date,x", DAYS, ["true"] * 60), {}, r"'x' is not numeric"),
        (rows("date", DAYS), {}, r"no column besides 'date'; is dataset.separator"),
        (PLAIN.replace("\n2020-01-02,", "\n2020-01-02,7,8,"), {}, r"not a CSV file: .*line 3"),
        ("", {}, "not a CSV file"),
        ("date,x\n2020-01-01,1\n", {}, "1 rows are too few"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_remedy(
    tmp_path: Path, text: str, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        loaded(tmp_path, text, **settings)
    assert "x.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"separator": ""}, r"dataset.separator is ''; it is one sign"),
        ({"separator": ";;"}, r"dataset.separator is ';;'"),
        ({"decimal": ","}, r"dataset.separator and dataset.decimal are both ','"),
        ({"decimal": "'"}, r"decimal must be one of|decimal.*','"),
        ({"date": ""}, r"dataset.date is ''"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(path="x.csv", **settings)  # type: ignore[arg-type]


def test_a_file_that_is_not_there_says_which_setting_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"nope.csv not found; dataset.path names it"):
        load(tmp_path, {**RUN, "dataset.path": "nope.csv"})
