"""`favit prune` lists what no sweep asks for and moves it to the trash, never what a job or a person may still need."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import yaml

from favit.commands import prune
from favit.commands.main import run as favit
from favit.results import guard
from favit.results.ledger import Ledger
from favit.results.state import Results, State
from favit.sweeps.config import Config
from tests.results.test_state import config, configured, finish, raw_of, states

__all__ = ["config"]


def asked_once(folder: Path, file: str = "c.yaml", **sweep: object) -> list[State]:
    """The states of what a configuration once asked for, as starting Snakemake with it would have noted."""
    config = configured(folder, **sweep)
    found = states(config)
    Ledger(config.results, folder / file).register(s.fingerprint.settings for s in found)
    return found


def test_prune_lists_what_no_sweep_asks_for(config: Config, tmp_path: Path) -> None:
    asked = finish(states(config)[0])
    old_code = finish(states(config)[1], code="0" * 16)
    unasked = finish(asked_once(tmp_path, settings={"lr": 0.01})[0])

    def listed(stale: bool) -> set[Path]:
        results = Results(config)
        asked = prune.asked_for(config, results, tmp_path / "c.yaml")
        return {r.folder for r in prune.superfluous(asked, results, stale)}

    assert listed(stale=False) == {unasked}
    assert listed(stale=True) == {unasked, old_code}
    prune.discard(unasked, config.results)
    assert not unasked.exists() and asked.exists()
    assert listed(stale=False) == set()


def test_prune_spares_what_a_job_may_still_need(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw_of(tmp_path)))
    changed = configured(tmp_path, settings={"lr": 0.01})
    asked_once(tmp_path, settings={"lr": 0.01})
    guard.before_training(changed, Results(changed), states(changed)[:1])
    guard.before_training(config, Results(config), states(config)[1:2])
    old_code, own_code = "0" * 16, json.loads((states(config)[1].folder / "run.json").read_text())["snapshot"]
    snapshots = config.results / "snapshots"
    shutil.copytree(snapshots / own_code, snapshots / old_code)
    shutil.copytree(snapshots / own_code, snapshots / f".{own_code}.left-by-a-kill")
    begun, waiting = states(changed)[0].folder, states(config)[1].folder

    def listed(*options: str) -> list[str]:
        assert favit("prune", ["--config", str(tmp_path / "c.yaml"), *options]) == 0
        return [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[:-1]]

    assert listed() == [], "a job may wait for what is young"
    later = time.time() + 31 * 24 * 3600
    monkeypatch.setattr(prune.time, "time", lambda: later)
    doomed = [begun, snapshots / f".{own_code}.left-by-a-kill", snapshots / old_code]
    assert listed() == list(map(str, doomed))
    request = json.loads((waiting / "run.json").read_text())
    request["snapshot"] = old_code
    (waiting / "run.json").write_text(json.dumps(request))
    assert listed("--yes") == list(map(str, doomed[:2])), "a prepared run refers to the old code"
    assert waiting.exists() and {p.name for p in snapshots.iterdir()} == {own_code, old_code}
    assert not begun.exists() and listed() == []


@pytest.fixture
def written(config: Config, tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(raw_of(tmp_path)))
    return path


def test_what_goes_can_be_fetched_back_until_the_trash_is_emptied(
    config: Config, tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = configured(tmp_path, settings={"lr": 0.01})
    folder = finish(asked_once(tmp_path, settings={"lr": 0.01})[0])
    assert favit("prune", ["--config", str(written), "--yes"]) == 0
    (kept,) = (config.results / ".trash").glob(f"*/runs/**/{folder.name}")
    assert not folder.exists() and (kept / "metrics.json").is_file()
    kept.rename(folder)
    assert states(changed)[0].counts
    finish(states(changed)[0])
    assert favit("prune", ["--config", str(written), "--yes"]) == 0
    assert favit("prune", ["--config", str(written), "--empty-trash"]) == 0
    assert not (config.results / ".trash").exists()


def test_more_than_three_results_are_not_moved_unasked(
    config: Config, tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [finish(state) for state in asked_once(tmp_path, settings={"lr": 0.01})[:4]]
    assert favit("prune", ["--config", str(written), "--yes"]) == 1
    assert "4 results would go to the trash" in capsys.readouterr().err
    assert favit("prune", ["--config", str(written), "--yes", "--count", "5"]) == 1
    assert all(folder.is_dir() for folder in folders)
    assert favit("prune", ["--config", str(written), "--yes", "--count", "4"]) == 0
    assert not any(folder.exists() for folder in folders)


def test_a_linked_folder_goes_as_a_link(config: Config, tmp_path: Path, written: Path) -> None:
    folder = finish(asked_once(tmp_path, settings={"lr": 0.01})[0])
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert favit("prune", ["--config", str(written), "--yes"]) == 0
    assert not folder.is_symlink() and (elsewhere / "metrics.json").is_file()


def test_stale_results_are_not_looked_for_on_a_dirty_tree(
    config: Config, written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(states(config)[0], code="0" * 16)
    monkeypatch.setattr(prune, "commit_of", lambda folder, files: "1234567+changes")
    assert favit("prune", ["--config", str(written), "--stale", "--yes"]) == 1
    assert "uncommitted" in capsys.readouterr().err
    monkeypatch.setattr(prune, "commit_of", lambda folder, files: "1234567")
    assert favit("prune", ["--config", str(written), "--stale", "--yes"]) == 0


def test_results_of_another_configuration_in_the_folder_stay(
    config: Config, tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A colleague's configuration asks for other rates, and one result is from before anybody took notes."""
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(raw_of(tmp_path, settings={"lr": 0.02})))
    theirs = finish(asked_once(tmp_path, "theirs.yaml", settings={"lr": 0.02})[0])
    both = asked_once(tmp_path, "c.yaml", settings={"lr": 0.02})[1]
    ours, nobody_s = (
        finish(asked_once(tmp_path, settings={"lr": 0.01})[0]),
        states(configured(tmp_path, settings={"lr": 0.03}))[0],
    )
    finish(both), finish(nobody_s)
    assert favit("prune", ["--config", str(written), "--yes"]) == 0
    said = capsys.readouterr().out
    assert not ours.exists() and "1 results, 0 unfinished runs" in said
    assert theirs.exists() and both.folder.exists() and nobody_s.folder.exists()
    assert f"kept 2 results: {tmp_path / 'theirs.yaml'} asks for them\n" in said
    assert "kept 1 results that this configuration never asked for" in said
    (tmp_path / "theirs.yaml").rename(tmp_path / "moved.yaml")
    assert favit("prune", ["--config", str(written), "--yes", "--unknown"]) == 0
    assert (
        "asks for them, a file that no longer exists; its entry is in .configurations"
        in capsys.readouterr().out
    )
    assert theirs.exists() and not nobody_s.folder.exists()


def test_what_another_configuration_asks_for_is_not_stale_for_this_one(
    config: Config, tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their checkout may have other code, under which it counts."""
    monkeypatch.setattr(prune, "commit_of", lambda folder, files: "1234567")
    folder = finish(states(config)[0], code="0" * 16)
    asked_once(tmp_path, "theirs.yaml")
    assert favit("prune", ["--config", str(written), "--stale", "--yes"]) == 0 and folder.exists()


def test_under_another_torch_stale_is_refused(
    config: Config, written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prune, "commit_of", lambda folder, files: "1234567")
    folders = [finish(state, versions={"torch": "1.2.3"}) for state in states(config)[:2]]
    old = finish(states(config)[2], code="0" * 16)
    assert favit("prune", ["--config", str(written), "--stale", "--yes"]) == 1
    said = capsys.readouterr().err
    assert "2 stale results are of other versions (torch 1.2.3;" in said and said.count("\n") == 1
    assert all(folder.exists() for folder in (*folders, old))
    assert favit("prune", ["--config", str(written), "--stale", "--yes", "--other-versions"]) == 0
    assert not any(folder.exists() for folder in (*folders, old))
