"""What a run is asked to tell of itself changes no number: a trace, and the time that compiling takes."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from favit.disk.run_folder import RunFolder
from favit.train import weights
from favit.train.life import machine
from favit.train.life.trace import SKIPPED, TRACED, Trace
from tests.train.lives import Life, Lives
from tests.train.runs import assert_same_tensors, envelope


@pytest.mark.slow
def test_a_trace_of_some_steps(tmp_path: Path) -> None:
    wanted = {n: envelope("forecasting", n, epochs=3) for n in ("traced", "plain")}
    life = Lives(tmp_path, wanted, "--keep", "weights", prepare=only, given=("traced",))
    assert life.wait() == 0, life.output
    events = json.loads((tmp_path / "traced" / "trace.json").read_text())["traceEvents"]
    steps = [e for e in events if e.get("name") == "Optimizer.step#Adam.step"]
    assert len(steps) == TRACED
    assert f"wrote a trace of some steps to {tmp_path / 'traced' / 'trace.json'}" in life.output
    assert not (tmp_path / "plain" / "trace.json").exists()
    losses = [
        [r["train_loss"] for r in csv.DictReader((tmp_path / n / "history.csv").open())] for n in wanted
    ]
    assert losses[0] == losses[1]
    traced, plain = (weights.read(RunFolder(tmp_path / n).weights) for n in wanted)
    assert_same_tensors(traced, plain)


def only(name: str) -> None:
    """Runs in a folder of this name alone are traced."""
    from favit.train.life import process

    original = process._live

    def live(options: Any, *others: Any) -> int:
        options.profile = options.out.name == name
        return original(options, *others)

    process._live = live


def test_a_run_that_is_shorter_leaves_what_there_is(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.json", torch.device("cpu"))
    assert not any(trace.step() for _ in range(SKIPPED + 1))
    torch.ones(3).sum()
    assert trace.close() and not trace.close()
    assert "aten::sum" in (tmp_path / "trace.json").read_text()
    assert not Trace(tmp_path / "none.json", torch.device("cpu")).close()
    assert [p.name for p in tmp_path.iterdir()] == ["trace.json"]


def test_a_trace_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    trace = Trace(tmp_path / "file" / "trace.json", torch.device("cpu"))
    assert not any(trace.step() for _ in range(SKIPPED + TRACED + 1))


def test_compiling_has_a_column_of_its_own(tmp_path: Path) -> None:
    """It is no part of the epoch's seconds, nor of its pace."""
    life = Life(
        tmp_path / "run", envelope("forecasting", epochs=2, compile=True), prepare=compile_for, given=(30.0,)
    )
    assert life.wait() == 0, life.output
    first, second = csv.DictReader((tmp_path / "run" / "history.csv").open())
    assert float(first["compile_seconds"]) >= 30 and float(second["compile_seconds"]) == 0
    wall = json.loads((tmp_path / "run" / "metrics.json").read_text())["wall_time_s"]
    # The clock of this process jumps by 30 s in the first step, and in no other
    assert float(first["seconds"]) <= wall - 30


def compile_for(seconds: float) -> None:
    """Compiling takes so long, by this process's clock, and does nothing."""
    import time

    true, jump = time.monotonic, [0.0]
    time.monotonic = lambda: true() + jump[0]

    def compile(model: torch.nn.Module) -> torch.nn.Module:
        def late(*_: object) -> None:
            jump[0] = seconds

        model.register_forward_pre_hook(late)
        return model

    torch.compile = compile  # type: ignore[assignment]


def test_compiled_code_is_shared_on_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    machine.share_compiled_code(environment)
    folder = Path(environment["TORCHINDUCTOR_CACHE_DIR"])
    assert folder.is_dir() and folder.is_relative_to(tmp_path) and torch.__version__ in folder.name
    again = {"XDG_CACHE_HOME": str(tmp_path)}
    machine.share_compiled_code(again)
    assert again == environment
    monkeypatch.setattr(machine.socket, "gethostname", lambda: "another")
    other = {"XDG_CACHE_HOME": str(tmp_path)}
    machine.share_compiled_code(other)
    assert other["TORCHINDUCTOR_CACHE_DIR"] != environment["TORCHINDUCTOR_CACHE_DIR"]
    assert Path(environment["TRITON_CACHE_DIR"]).parent == folder
    mine = {"XDG_CACHE_HOME": str(tmp_path), "TRITON_CACHE_DIR": "/mine"}
    machine.share_compiled_code(mine)
    assert mine["TRITON_CACHE_DIR"] == "/mine" and "TORCHINDUCTOR_CACHE_DIR" in mine


def test_a_folder_that_was_chosen_or_cannot_be_made_stays(tmp_path: Path) -> None:
    chosen = {"TORCHINDUCTOR_CACHE_DIR": "/mine"}
    machine.share_compiled_code(chosen)
    assert chosen == {"TORCHINDUCTOR_CACHE_DIR": "/mine"}
    (tmp_path / "file").write_text("")
    nowhere = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    machine.share_compiled_code(nowhere)
    assert "TORCHINDUCTOR_CACHE_DIR" not in nowhere


def test_runs_that_share_a_gpu_share_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the number of threads stays: sums are split among them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {4, 5})
    asked = {"cuda": 2, "cpu": 8}
    assert {name: machine.at_most_its_own(8, torch.device(name)) for name in asked} == asked
    assert machine.at_most_its_own(0, torch.device("cuda")) == 0, "torch's own choice"
