"""A snapshot holds a run's whole program, says where its code begins, and stays a running job's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from favit.disk.lease import Lease
from favit.disk.run_folder import RunFolder
from favit.identity import snapshot
from favit.identity.closure import ROOT, Reader
from favit.identity.definitions import Sources
from favit.identity.fingerprint import Fingerprinter
from favit.results import guard
from favit.results.state import Results, State
from favit.sweeps.config import Config, parse
from favit.sweeps.runs import runs

MATRIX = {
    "dataset": ["csv"],
    "model": ["informer"],
    "aggregator": ["full"],
    "encoding": ["none"],
    "seed": [0, 1],
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the product's code that may be edited."""
    shutil.copytree(
        ROOT / "favit", tmp_path / "source" / "favit", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "source"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    sweep = {"matrix": MATRIX, "settings": {"dataset.path": "own.csv", "schedule": "constant"}}
    return parse(
        {"data": str(tmp_path / "data"), "results": str(tmp_path / "results"), "sweeps": {"s": sweep}}
    )


def looked_at(config: Config, source: Path) -> tuple[Results, list[State]]:
    """The states of all runs as the code in ``source`` makes them."""
    results = Results(config, Fingerprinter(config.data, reader=Reader(root=source)))
    return results, results.states(runs(config))


def requested(state: State) -> str:
    return str(json.loads(RunFolder(state.folder).request.read_text())["snapshot"])


def reword(source: Path) -> None:
    file = source / "favit" / "train" / "life" / "process.py"
    text = file.read_text()
    assert "nothing to do" in text
    file.write_text(text.replace("nothing to do", "nothing left to do"))


def test_the_code_in_a_snapshot_is_found_from_its_own_roots(config: Config, source: Path) -> None:
    results, states = looked_at(config, source)
    guard.before_training(config, results, states)
    folder = snapshot.folder_of(requested(states[0]), config.results)
    facts = json.loads((folder / snapshot.FACTS).read_text())
    assert facts["layout"] == snapshot.LAYOUT
    assert Sources(folder).code(facts["roots"]).digest == states[0].fingerprint.code
    assert Reader(root=folder).closure(facts["program"]).digest == folder.name


def test_a_reworded_message_is_another_snapshot_and_the_same_run(config: Config, source: Path) -> None:
    results, before = looked_at(config, source)
    guard.before_training(config, results, before)
    old = requested(before[0])
    reword(source)
    results, after = looked_at(config, source)
    assert [s.folder for s in after] == [s.folder for s in before]
    guard.before_training(config, results, after)
    assert requested(after[0]) != old
    assert (snapshot.folder_of(requested(after[0]), config.results) / "__main__.py").is_file()


def test_a_run_that_is_being_trained_keeps_its_snapshot(config: Config, source: Path) -> None:
    """Else its job's command would change, and whoever starts snakemake again would cancel the job."""
    results, before = looked_at(config, source)
    guard.before_training(config, results, before)
    running, waiting = before
    old = requested(running)
    lease = Lease(running.folder).acquire()
    try:
        reword(source)
        results, after = looked_at(config, source)
        guard.before_training(config, results, after)
        assert requested(running) == old != requested(waiting)
        assert guard.snapshot_of(after[0], results).name == old
        shutil.rmtree(snapshot.folder_of(old, config.results))
        assert guard.snapshot_of(after[0], results).name == requested(waiting), (
            "one that is gone serves nobody"
        )
    finally:
        lease.release()
    assert guard.snapshot_of(after[0], results).name == requested(waiting)


def test_a_snapshot_imports_nothing_from_outside(config: Config, source: Path) -> None:
    results, states = looked_at(config, source)
    guard.before_training(config, results, states)
    folder = snapshot.folder_of(requested(states[0]), config.results)
    assert not (folder / "favit" / "results").exists() and not (folder / "favit" / "commands").exists()
    process = folder / "favit" / "train" / "life" / "process.py"
    process.write_text(process.read_text() + "\nimport favit.results\n")
    snapshot.record_files(folder)
    done = subprocess.run(
        [sys.executable, str(folder), "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and "No module named 'favit.results'" in done.stderr


def test_an_edited_snapshot_neither_starts_nor_serves_again(config: Config, source: Path) -> None:
    results, states = looked_at(config, source)
    guard.before_training(config, results, states)
    folder = snapshot.folder_of(requested(states[0]), config.results)
    loop = folder / "favit" / "train" / "loop.py"
    loop.write_text(loop.read_text().replace("self.step = batch.step + 1", "self.step = batch.step + 2"))
    done = subprocess.run(
        [sys.executable, str(folder), "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (
        done.returncode == 1 and done.stderr.count("\n") == 1 and "loop.py is not what it was" in done.stderr
    )
    with pytest.raises(snapshot.CodeChanged, match=r"loop\.py was edited"):
        guard.before_training(config, results, states)
    shutil.rmtree(folder)
    guard.before_training(config, results, states)
    roots = json.loads((folder / snapshot.FACTS).read_text())["roots"]
    assert Sources(folder).code(roots).digest == states[0].fingerprint.code
