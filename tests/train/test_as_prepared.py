"""A job trains on what it was prepared for, or ends with one line: data and versions are looked at when it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from favit.identity import digests, versions
from favit.train.life import request
from tests.train.runs import envelope


@pytest.fixture
def prepared(tmp_path: Path) -> dict[str, Any]:
    """An envelope of a series in ``tmp_path``, as the workflow leaves it."""
    (tmp_path / "own.csv").write_text("date,x\n2020-01-01,1\n")
    run = {**envelope("forecasting")["run"], "dataset": "csv", "dataset.path": "own.csv"}
    torch = versions.installed("torch")
    fingerprint = {
        "digest": "0", "settings": digests.short_digest(run), "data": digests.data_digests(run, tmp_path),
        "versions": {"torch": torch}, "policy": {"torch": "minor"},
    }  # fmt: skip
    return {"run": run, "fingerprint": fingerprint}


def read(wanted: dict[str, Any], folder: Path) -> request.Request:
    import json

    (folder / "run.json").write_text(json.dumps(wanted))
    return request.read(str(folder / "run.json"), folder)


def test_what_is_as_it_was_is_trained(prepared: dict[str, Any], tmp_path: Path) -> None:
    assert read(prepared, tmp_path).fingerprint == prepared["fingerprint"]


def test_data_edited_while_the_job_waited_are_named(prepared: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("date,x\n2020-01-01,2\n")
    with pytest.raises(ValueError, match=r"own\.csv in .* has changed since the run was prepared"):
        read(prepared, tmp_path)


def test_absent_data_are_left_to_whoever_reads_them(prepared: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.csv").unlink()
    assert read(prepared, tmp_path).fingerprint == prepared["fingerprint"]


@pytest.mark.parametrize(
    ("version", "policy", "refused"),
    [
        ("1.2.3", "minor", True),
        ("1.2.3", "exact", True),
        ("1.2.3", "none", False),
        ("same.999", "minor", False),
        ("same.999", "exact", True),
        ("same.999+cu130", "minor", False),
    ],
)
def test_versions_are_compared_as_far_as_they_count(
    prepared: dict[str, Any], tmp_path: Path, version: str, policy: str, refused: bool
) -> None:
    here = versions.installed("torch")
    version = version.replace("same", ".".join(here.split(".")[:2]))
    prepared["fingerprint"].update(versions={"torch": version}, policy={"torch": policy})
    if refused:
        with pytest.raises(ValueError, match=f"torch {here.replace('+', '.')} is installed here"):
            read(prepared, tmp_path)
    else:
        read(prepared, tmp_path)


def test_a_request_without_versions_asks_for_none(prepared: dict[str, Any], tmp_path: Path) -> None:
    del prepared["fingerprint"]["versions"], prepared["fingerprint"]["policy"]
    read(prepared, tmp_path)
