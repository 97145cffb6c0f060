"""A result is judged by what made it: its snapshot, as today's analyser reads it, and its settings without new ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from favit.disk.files import write_atomic
from favit.identity import settings, snapshot
from favit.identity.closure import ROOT, Reader
from favit.identity.digests import short_digest
from favit.identity.fingerprint import Fingerprinter
from favit.results import guard, reasons, selection
from favit.results.state import Results, State
from favit.sweeps.config import Config, parse
from favit.sweeps.runs import runs

AXES = {
    "dataset": ["csv"],
    "model": ["informer"],
    "aggregator": ["full"],
    "encoding": ["none"],
    "seed": [0, 1],
}
OPTIMIZER = "favit/train/optimizer.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the product's code that may be edited."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "favit", tmp_path / "source" / "favit", ignore=ignored)
    return tmp_path / "source"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    sweep = {"matrix": AXES, "settings": {"dataset.path": "own.csv", "schedule": "constant"}}
    folders = {name: str(tmp_path / name) for name in ("data", "results")}
    return parse({**folders, "sweeps": {"s": sweep}})


def looked_at(config: Config, source: Path) -> tuple[Results, list[State]]:
    results = Results(config, Fingerprinter(config.data, reader=Reader(root=source)))
    return results, results.states(runs(config))


def trained(config: Config, source: Path, **changes: Any) -> Path:
    """The first run's result, with the snapshot that a job would have executed; returns its folder."""
    results, (state, _) = looked_at(config, source)
    guard.before_training(config, results, [state])
    request = json.loads((state.folder / "run.json").read_text())
    content = {
        "status": "finished",
        "run": request["run"],
        "fingerprint": {**request["fingerprint"], **changes},
        "snapshot": request["snapshot"],
        "metrics": {"mse": 0.5, "mae": 0.5},
        "wall_time_s": 3600.0,
        "finished": "2026-01-01T00:00:00",
    }
    write_atomic(state.folder / "metrics.json", json.dumps(content))
    return state.folder


def edit(source: Path, name: str, *pairs: tuple[str, str]) -> None:
    text = (source / name).read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    (source / name).write_text(text)


def snapshot_in(config: Config) -> Path:
    (folder,) = (config.results / "snapshots").iterdir()
    return folder


def test_the_number_that_an_older_analyser_wrote_down_does_not_matter(config: Config, source: Path) -> None:
    """A better analyser invalidates nothing: it reads the snapshot anew."""
    folder = trained(config, source, code="0" * 16)
    _, (state, other) = looked_at(config, source)
    assert (state.name, state.folder, other.name) == ("valid", folder, "missing")


@pytest.mark.parametrize("loss", ["gone", "edited", "of another layout"])
def test_without_its_snapshot_the_number_decides(config: Config, source: Path, loss: str) -> None:
    folder, kept = trained(config, source), snapshot_in(config)
    facts = json.loads((kept / snapshot.FACTS).read_text())
    if loss == "gone":
        shutil.rmtree(kept)
    elif loss == "edited":
        (kept / OPTIMIZER).write_text((kept / OPTIMIZER).read_text() + "\n")
    else:
        (kept / snapshot.FACTS).write_text(json.dumps({**facts, "layout": snapshot.LAYOUT + 1}))
    assert looked_at(config, source)[1][0].name == "valid"
    content = json.loads((folder / "metrics.json").read_text())
    content["fingerprint"]["code"] = "0" * 16
    write_atomic(folder / "metrics.json", json.dumps(content))
    assert looked_at(config, source)[1][0].name == "missing"


def test_code_that_moved_is_the_same_code_and_its_result_stays_where_it_is(
    config: Config, source: Path
) -> None:
    """Names of files are no part of it; whoever looks for the result finds it in the folder that it has."""
    folder = trained(config, source)
    text = (source / OPTIMIZER).read_text()
    (source / "favit" / "train" / "rules.py").write_text(text)
    (source / OPTIMIZER).unlink()
    edit(
        source,
        "favit/train/learner.py",
        ("distributed, optimizer, recompute", "distributed, recompute, rules"),
        ("optimizer.build", "rules.build"),
        ("optimizer.set_learning_rate", "rules.set_learning_rate"),
    )
    results, (state, _) = looked_at(config, source)
    assert (state.name, state.folder) == ("valid", folder)
    assert reasons.line(state, results.fingerprinter).startswith("valid")
    assert [run.key for run in selection.select(config, str(folder))] == [state.run.key]
    guard.before_training(config, results, [s for s in results.states(runs(config)) if not s.counts])


def test_what_differs_is_found_in_the_snapshot(config: Config, source: Path) -> None:
    trained(config, source, modules="nothing that can be read")
    edit(
        source, OPTIMIZER, ("for group in optimizer", "for each in optimizer"), ('group["lr"]', 'each["lr"]')
    )
    edit(source, "favit/train/schedule.py", ("math.pi", "math.e"))
    results, (state, _) = looked_at(config, source)
    assert state.name == "missing"
    why = reasons.reason(state, results.fingerprinter)
    assert why.startswith("code: train/schedule.py: ") and why.count(".py") == 1


def test_equal_snapshots_are_digested_once_and_remembered(
    config: Config, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(config, source)
    looked_at(config, source)

    def never(*arguments: object, **keywords: object) -> None:
        raise AssertionError("digested again")

    codes = snapshot.Codes(config.results, config.results / ".cache" / "snapshots.json")
    monkeypatch.setattr(snapshot, "Sources", never)
    kept = snapshot_in(config)
    shutil.copytree(kept, kept.with_name("aaaaaaaaaaaaaaaa"))
    assert codes.digest(kept.name) == codes.digest("aaaaaaaaaaaaaaaa") is not None


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def declared(**values: Any) -> None:
        monkeypatch.setattr(settings, "of_task", lambda task: values)

    return declared


def test_a_result_older_than_a_setting_counts_at_its_neutral_value(
    config: Config, source: Path, declare: Callable[..., None]
) -> None:
    """``ema`` stands for a setting that came after the result was trained."""
    folder = trained(config, source)
    content = json.loads((folder / "metrics.json").read_text())
    assert content["run"].pop("ema") == 0.0
    content["fingerprint"]["settings"] = short_digest(content["run"])
    write_atomic(folder / "metrics.json", json.dumps(content))
    results, (state, _) = looked_at(config, source)
    assert reasons.reason(state, results.fingerprinter) == "settings: ema default -> 0.0"
    declare(ema=0.0)
    _, (state, _) = looked_at(config, source)
    assert (state.name, state.folder) == ("valid", folder)
    assert [run.key for run in selection.select(config, str(folder))] == [state.run.key]
    declare(ema=0.9)  # had training averaged before, today's 0.0 would be something else
    results, (state, _) = looked_at(config, source)
    assert reasons.reason(state, results.fingerprinter) == "settings: ema 0.9 -> 0.0"
    declare(ema=False)
    assert looked_at(config, source)[1][0].name == "missing", "0.0 and False are two values"


def test_a_setting_that_is_gone_again_counts_at_its_neutral_value_only_while_declared(
    config: Config, source: Path, declare: Callable[..., None]
) -> None:
    declare(ema=0.0)
    folder = trained(config, source)
    declare()
    _, (state, _) = looked_at(config, source)
    assert (state.name, state.folder) == ("valid", folder)
