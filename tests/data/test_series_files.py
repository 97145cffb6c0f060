"""The series data sets: parts and windows as the field counts them, calendar features, and wrong files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from favit.components import registry
from favit.data._csv import read_table
from favit.data._missing import DataMissing
from favit.data._series import borders_of, calendar_features
from favit.data.csv import load as load_csv

RUN = {"input_length": 8, "label_length": 4, "horizon": 3}


def frame(rows: int = 60, freq: str = "h", start: str = "2020-01-01") -> pd.DataFrame:
    """A file of two numeric columns."""
    numbers = np.random.default_rng(0).normal(size=(rows, 2))
    dates = pd.date_range(start, periods=rows, freq=freq).astype(str)
    return pd.DataFrame({"date": dates, "a": numbers[:, 0], "b": 5 + 3 * numbers[:, 1]})


def written(folder: Path, table: pd.DataFrame) -> Path:
    path = folder / "x.csv"
    table.to_csv(path, index=False)
    return path


def loaded(folder: Path, table: pd.DataFrame, **settings: Any):  # type: ignore[no-untyped-def]
    written(folder, table)
    run = {**RUN, "dataset.path": "x.csv", **{f"dataset.{k}": v for k, v in settings.items()}}
    return load_csv(folder, run)


# Counted from the rule itself: 12/4/4 months of 30 days, the later parts looking back by the input length.
@pytest.mark.parametrize(
    ("name", "horizon", "windows"),
    [
        ("etth1", 24, (8553, 2857, 2857)),
        ("ettm1", 96, (34401, 11425, 11425)),
        ("ettm1", 24, (34473, 11497, 11497)),
    ],
)
def test_ett_windows(real_data: Path, name: str, horizon: int, windows: tuple[int, ...]) -> None:
    run = {"input_length": 64, "label_length": 48, "horizon": horizon}
    series = registry.load("data", name).load(real_data, run)
    parts = ("train", "validation", "test")
    assert tuple(len(series.window_starts(part, 64, horizon)) for part in parts) == windows
    assert series.facts == registry.load("data", name).FACTS


def test_etth1_against_the_file(real_data: Path) -> None:
    """Standardised values, the forecast rows of the first and last test window, and what follows the last one."""
    series = registry.load("data", "etth1").load(real_data, {"input_length": 64, "horizon": 24})
    raw = np.genfromtxt(real_data / "ett" / "ETTh1.csv", delimiter=",", skip_header=1)[:, 1:]
    train = raw[: 360 * 24]
    expected = (raw - train.mean(0)) / np.sqrt(((train - train.mean(0)) ** 2).mean(0))
    np.testing.assert_allclose(series.standardise().numpy(), expected, rtol=1e-5, atol=1e-5)
    starts = series.window_starts("test", 64, 24)
    assert starts[0] + 64 == 480 * 24  # forecasting begins with the test part's first row
    assert starts[-1] + 64 + 24 == 600 * 24  # and ends with its last: the file's later rows are unused
    assert len(raw) > 600 * 24


def test_etth1_calendar(real_data: Path) -> None:
    series = registry.load("data", "etth1").load(real_data, {"input_length": 64, "horizon": 24})
    # 2016-07-01 00:00 was a Friday, day 183 of a leap year.
    by_hand = torch.tensor([0 / 23, 4 / 6, 0 / 30, 182 / 365]) - 0.5
    torch.testing.assert_close(series.marks[0], by_hand)
    torch.testing.assert_close(series.marks[30], torch.tensor([6 / 23, 5 / 6, 1 / 30, 183 / 365]) - 0.5)


def test_calendar_features_by_step() -> None:
    when = pd.DatetimeIndex(["2021-12-31 23:45"])  # a Friday, day 365
    day = [4 / 6, 30 / 30, 364 / 365]
    for step, expected in (
        ("15min", [45 / 59, 23 / 23, *day]),
        ("1h", [23 / 23, *day]),
        ("1D", day),
        ("7D", day),
    ):
        found = calendar_features(when, pd.Timedelta(step))
        torch.testing.assert_close(found, torch.tensor([expected]) - 0.5)


def test_seattle_weather_ships_with_its_package(tmp_path: Path) -> None:
    module = registry.load("data", "seattle_weather")
    series = module.load(tmp_path, {"input_length": 28, "horizon": 7})
    assert series.values.shape == (1461, 4) and series.facts == module.FACTS
    assert series.columns == ("precipitation", "temp_max", "temp_min", "wind")
    assert series.values[0].tolist() == [0.0, 12.8, 5.0, 4.7]


def test_parts_look_back_and_every_row_after_the_first_input_is_forecast(tmp_path: Path) -> None:
    series = loaded(tmp_path, frame(100), train=0.5, validation=0.2)
    assert series.borders == ((0, 50), (42, 70), (62, 100))
    forecast: set[int] = set()
    for part in ("train", "validation", "test"):
        for start in series.window_starts(part, 8, 3):
            forecast |= set(range(start + 8, start + 11))
    assert forecast == set(range(8, 100))


def test_look_back_never_reaches_before_the_file() -> None:
    assert borders_of(5, 5, 5, look_back=20) == ((0, 5), (0, 10), (0, 15))


def test_standardised_by_the_training_rows_alone(tmp_path: Path) -> None:
    table = frame(100)
    table.loc[70:, "a"] += 1000  # the test part
    series = loaded(tmp_path, table, train=0.5, validation=0.2)
    train = series.standardise()[:50].double()
    torch.testing.assert_close(train.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.square().mean(0), torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)


def test_a_column_that_is_constant_in_training_stays_finite(tmp_path: Path) -> None:
    table = frame(100)
    table["a"] = 0.1
    assert loaded(tmp_path, table).standardise()[:, 0].abs().max() < 1e-6


def test_any_csv_with_chosen_columns(tmp_path: Path) -> None:
    table = frame().assign(word="rain")
    series = loaded(tmp_path, table, columns="b, a")
    assert series.columns == ("b", "a")
    np.testing.assert_allclose(series.values.numpy(), table[["b", "a"]].to_numpy())
    with pytest.raises(ValueError, match="'word' is not numeric: 'rain' in line 2"):
        loaded(tmp_path, table)


@pytest.mark.parametrize("freq", ["D", "15min", "B", "MS", "W"])
def test_regular_calendars_have_no_gaps(tmp_path: Path, freq: str) -> None:
    assert len(loaded(tmp_path, frame(freq=freq)).values) == 60


def test_gaps_in_time(tmp_path: Path) -> None:
    table = frame()
    table["a"] = np.arange(60.0)
    with pytest.raises(
        ValueError, match=r"2 steps of 0 days 01:00:00 are missing, the first at 2020-01-01 20:00:00"
    ):
        loaded(tmp_path, table.drop([20, 21]))
    filled = loaded(tmp_path, table.drop([20, 21]), gaps="interpolate")
    np.testing.assert_allclose(filled.values[:, 0].numpy(), np.arange(60.0))


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_missing_values(tmp_path: Path, hole: float) -> None:
    table = frame()
    table["b"] = 2 * np.arange(60.0)
    table.loc[30, "b"] = hole
    with pytest.raises(ValueError, match=r"'b' has 1 missing values, the first at 2020-01-02 06:00:00"):
        loaded(tmp_path, table)
    assert loaded(tmp_path, table, gaps="interpolate").values[30, 1] == 60


@pytest.mark.parametrize("row", [0, 59])
def test_nothing_is_extrapolated(tmp_path: Path, row: int) -> None:
    table = frame()
    table.loc[row, "a"] = np.nan
    with pytest.raises(ValueError, match="nothing can be interpolated"):
        loaded(tmp_path, table, gaps="interpolate")


def broken(kind: str) -> pd.DataFrame:
    table = frame()
    if kind == "date":
        return table.rename(columns={"date": "day"})
    if kind == "order":
        return table.iloc[[1, 0, *range(2, 60)]]
    if kind == "twice":
        return table.iloc[[0, 0, *range(1, 60)]]
    if kind == "no date":
        table.loc[3, "date"] = "yesterday"
    if kind == "odd":
        table.loc[3, "date"] = "2020-01-01 03:07:00"
    if kind == "alone":
        return table[["date"]]
    if kind == "two rows":
        return table[:2]
    return table


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("date", "no column 'date'; dataset.date names the column of the dates; there are 'day', 'a', 'b'"),
        ("order", "dates must increase; '2020-01-01 00:00:00' in line 3"),
        ("twice", "dates must increase"),
        ("no date", "'yesterday' in line 5 is not a date"),
        ("odd", "irregular times: 2020-01-01 03:07:00"),
        ("alone", "no column besides 'date'"),
        ("two rows", "2 rows are too few"),
    ],
)
def test_wrong_files_are_answered_with_their_name(tmp_path: Path, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        loaded(tmp_path, broken(kind))
    assert str(raised.value).startswith(str(tmp_path / "x.csv"))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for content in (b"", b"date,a\n1,2,3,4\n1,2\n1,2,3,4,5,6\n", bytes(range(128, 256)) * 4):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.csv"):
            read_table(path)


def test_missing_ett_columns(tmp_path: Path) -> None:
    (tmp_path / "ett").mkdir()
    frame().rename(columns={"a": "HUFL"}).to_csv(tmp_path / "ett" / "ETTh1.csv", index=False)
    with pytest.raises(
        ValueError, match="missing columns HULL, MUFL, MULL, LUFL, LULL, OT; found date, HUFL, b"
    ):
        registry.load("data", "etth1").load(tmp_path, RUN)


def test_too_few_rows_for_the_split_and_for_the_windows(tmp_path: Path) -> None:
    (tmp_path / "ett").mkdir()
    table = pd.DataFrame(
        {name: np.arange(100.0) for name in ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")}
    )
    table.insert(0, "date", pd.date_range("2020-01-01", periods=100, freq="h").astype(str))
    table.to_csv(tmp_path / "ett" / "ETTh1.csv", index=False)
    with pytest.raises(ValueError, match="100 rows; the split needs 14400"):
        registry.load("data", "etth1").load(tmp_path, RUN)
    with pytest.raises(
        ValueError, match="the train part has 7 rows; a window of input 8 and horizon 3 needs 11"
    ):
        loaded(tmp_path, frame(10))
    with pytest.raises(ValueError, match="the validation part has 10 rows"):
        loaded(tmp_path, frame(60), train=0.9, validation=0.04)


@pytest.mark.parametrize(("train", "validation"), [(0.9, 0.1), (0.0, 0.5), (0.7, 0.0), (1.2, 0.1)])
def test_shares_must_leave_a_test_part(tmp_path: Path, train: float, validation: float) -> None:
    with pytest.raises(ValueError, match=r"no rows for the test|must be (above|below)"):
        loaded(tmp_path, frame(), train=train, validation=validation)


@pytest.mark.parametrize("name", ["etth1", "ettm1"])
def test_absent_files_say_where_and_how(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataMissing, match=r"ett/ETT.1\.csv not found; .*snakemake data"):
        registry.load("data", name).load(tmp_path, RUN)


def test_csv_needs_its_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset\.path"):
        load_csv(tmp_path, RUN)
    with pytest.raises(DataMissing):
        load_csv(tmp_path, {**RUN, "dataset.path": "absent.csv"})


def test_gaps_setting_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'error', 'interpolate'"):
        loaded(tmp_path, frame(), gaps="ignore")
