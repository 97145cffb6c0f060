"""`favit accept` takes the result that a person named and no other, and says what it declared equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from favit.commands.main import run as favit
from favit.results.state import Results, State
from favit.sweeps.config import load
from favit.sweeps.runs import runs

MATRIX = {
    "dataset": ["csv"],
    "model": ["informer"],
    "aggregator": ["full"],
    "encoding": ["none"],
    "seed": [0],
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    sweep = {"matrix": MATRIX, "settings": {"dataset.path": "own.csv", "schedule": "constant"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"sweeps": {"s": sweep}}))
    return tmp_path


def state() -> State:
    config = load()
    return Results(config).states(runs(config))[0]


def result(name: str, mse: float, **changes: Any) -> Path:
    """A finished result beside the place of today's, made with other code."""
    today = state()
    folder = today.folder.parent / name
    folder.mkdir(parents=True)
    content = {
        "status": "finished", "run": dict(today.run.settings), "metrics": {"mse": mse, "mae": mse},
        "fingerprint": {**today.fingerprint.as_dict(), "modules": {}, **changes}, "finished": "2026-01-01",
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


WHY = ["--why", "only a name"]


def test_the_named_folder_is_accepted_and_no_other(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meant = result("old", 1.590, code="a" * 16)
    result("experiment", 1.581, code="b" * 16)
    assert favit("accept", [str(meant), *WHY]) == 0
    now = state()
    assert now.name == "accepted" and now.result is not None and now.result.content["metrics"]["mse"] == 1.590
    assert "old accepted; code: " in capsys.readouterr().out
    (record,) = json.loads((meant / "accepted.json").read_text())
    assert (record["from"], record["code"]) == ("a" * 16, now.fingerprint.code)
    assert not (meant.parent / "experiment" / "accepted.json").exists()


@pytest.mark.parametrize("word", ["s", "informer.full.none.seed0"])
def test_several_codes_are_refused(config: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = result("old", 1.590, code="a" * 16), result("experiment", 1.581, code="b" * 16)
    assert favit("accept", [word, *WHY]) == 1
    said = capsys.readouterr().err
    assert str(one) in said and str(other) in said and said.count("\n") == 1
    assert state().name == "missing"


def test_copies_of_one_result_are_one(config: Path) -> None:
    result("old", 1.5, code="a" * 16)
    result("copy", 1.5, code="a" * 16)
    assert favit("accept", ["s", *WHY]) == 0 and state().name == "accepted"


def test_a_named_folder_of_other_data_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = result("old", 1.5, code="a" * 16, data={"own.csv": "0" * 64})
    assert favit("accept", [str(folder), *WHY]) == 1
    assert "no finished result has the settings and data of this run" in capsys.readouterr().err


def test_beside_a_valid_result_no_other_is_accepted(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    valid, folder = result("today", 1.4), result("old", 1.5, code="a" * 16)
    assert favit("accept", [str(folder), *WHY]) == 1
    assert f"{valid} is already valid" in capsys.readouterr().err.replace("results/", "results/")
    assert favit("accept", [str(valid), *WHY]) == 0
