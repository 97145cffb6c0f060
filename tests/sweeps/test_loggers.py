"""``loggers`` in the configuration: what may be written, and that no result depends on it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from favit.disk.run_folder import RunFolder
from favit.exporting import bundle
from favit.results import guard
from favit.results.state import Results
from favit.sweeps import loggers
from favit.sweeps.config import Config, ConfigError, load, parse, read
from favit.sweeps.loggers import Logger
from favit.sweeps.runs import runs


def _with(written: Any, source: str = "config.yaml") -> Config:
    return parse({"sweeps": {"s": {"matrix": {"dataset": ["digits"]}}}, "loggers": written}, source)


def test_names_options_and_files_of_ones_own(tmp_path, monkeypatch) -> None:
    (tmp_path / "slack.py").touch()
    written = [
        "tensorboard",
        {"wandb": {"project": "study", "tags": ["a"]}},
        {"wandb": {"package": "trackio"}},
        "slack.py:post",
        {"my_lab.logs:row": None},
    ]
    found = _with(written, str(tmp_path / "config.yaml")).loggers  # beside the configuration
    assert [logger.name for logger in found] == [
        "tensorboard", "wandb", "wandb", f"{tmp_path}/slack.py:post", "my_lab.logs:row",
    ]  # fmt: skip
    assert [logger.package for logger in found] == ["tensorboard", "wandb", "trackio", "", ""]
    assert found[1].as_json() == {"name": "wandb", "options": {"project": "study", "tags": ["a"]}}
    monkeypatch.chdir(tmp_path)
    assert _with(["slack.py"]).loggers == (Logger("slack.py"),)  # where people type
    assert _with([]).loggers == ()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (["tensorbord"], "did you mean 'tensorboard'"),
        (["nowhere.py"], "nowhere.py not found"),
        (["nowhere.py:f g"], "unknown logger"),
        (["my-lab:f"], "unknown logger"),
        ([7], "each is a name"),
        ([{"wandb": {}, "tensorboard": {}}], "each is a name"),
        ([{}], "each is a name"),
        ([{"wandb": "study"}], "must be a mapping of options"),
        ([{"wandb": {"when": date(2026, 1, 1)}}], "may hold text, numbers"),
        ([{"wandb": {"alpha": float("nan")}}], "may hold text, numbers"),
        (["wandb", {"wandb": {"project": "a"}}], "wandb is listed twice"),
        ("tensorboard", "loggers must be a list"),
        ([""], "unknown logger"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(written: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        _with(written)
    assert "\n" not in str(raised.value) and str(raised.value).startswith("config.yaml: ")


def test_no_result_depends_on_loggers(tmp_path) -> None:
    plain = replace(load(), results=tmp_path)
    logged = replace(plain, loggers=(Logger("wandb", {"project": "study"}),))
    run = next(run for run in runs(plain, "demo") if run["aggregator"] == "probsparse")
    found = {}
    for config in (plain, logged, plain):
        results = Results(config)
        [state] = results.states([run])
        guard.before_training(config, results, [state])
        request = json.loads(RunFolder(state.folder).request.read_text())
        found[bool(config.loggers)] = state.folder, guard.snapshot_of(state, results), request
        modules = results.fingerprinter.code(run).definitions()
        assert not [name for name in modules if name.startswith("favit.train.loggers")]
        # What the job executes has them all the same.
        assert (guard.snapshot_of(state, results) / "favit/train/loggers/wandb.py").is_file()
    (folder, snapshot, before), (same, same_snapshot, after) = found[False], found[True]
    assert (folder, snapshot) == (same, same_snapshot)
    assert after.pop("name") == f"digits.{run.name}"
    assert after.pop("loggers") == [{"name": "wandb", "options": {"project": "study"}}]
    assert before == after


def test_a_package_that_is_absent_is_told_of(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "no_such_package").mkdir()  # as W&B leaves one of its own name
    config = replace(load(), loggers=(Logger("wandb", {"package": "no_such_package"}), Logger("own.py")))
    [line] = guard.absent_loggers(config)
    assert "no_such_package is not installed here" in line
    assert loggers.is_installed("json")


def test_a_folder_that_wandb_has_left_is_in_no_code(tmp_path, monkeypatch) -> None:
    """`./wandb` and `./tensorboard` are where such packages write: no import of a file beside the code is meant."""
    from favit.identity import outside
    from favit.identity.closure import ROOT, Reader

    monkeypatch.setattr(outside, "_is_beside", lambda name, root: name in ("wandb", "tensorboard"))
    reader = Reader(ROOT)
    outside.check(reader.closure(["favit.train.life.__main__"]), reader)


def test_the_configuration_that_ships_has_none() -> None:
    assert "loggers" not in read(Path("config.yaml"))


def test_an_export_says_nothing_of_loggers(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_request(
        {"run": {"lr": 0.1}, "name": "a", "loggers": [{"name": "wandb", "options": {"entity": "us"}}]}
    )
    bundle._without_loggers(folder)
    assert json.loads(folder.request.read_text()) == {"run": {"lr": 0.1}, "name": "a"}
    folder.request.write_text("no JSON")
    bundle._without_loggers(folder)
    assert folder.request.read_text() == "no JSON"
