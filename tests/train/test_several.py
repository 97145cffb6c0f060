"""Several runs in one process: each as if it were alone, whatever the others do to themselves or to the process."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from favit.identity.fingerprint import Fingerprinter
from favit.results import guard
from favit.results.state import Results
from favit.sweeps.config import parse
from favit.sweeps.runs import runs
from favit.train.life import launch, process, request, several
from tests.train.lives import Life, Lives, straight
from tests.train.runs import assert_same_result, envelope
from tests.train.test_endings import slow_down

# Runs that set the process differently: another task, another precision, other switches
RUNS: dict[str, dict[str, Any]] = {
    "series": envelope("forecasting", "a", epochs=1),
    "images": envelope("classification", "b", epochs=1, precision="bfloat16", tf32=True),
    "strict": envelope("forecasting", "c", epochs=1, deterministic=True, seed=1),
}


def soil() -> None:
    """Each run leaves all in disorder that it can reach."""
    import random
    import threading

    import numpy as np
    import torch

    from favit.models import informer
    from favit.train.loop import Trainer

    original = Trainer.train

    def train(self: Trainer) -> object:
        try:
            return original(self)
        finally:
            torch.manual_seed(7), np.random.seed(7), random.seed(7)
            torch.set_default_dtype(torch.float64)
            torch.set_float32_matmul_precision("medium")
            torch.use_deterministic_algorithms(True)
            torch.set_grad_enabled(False)
            torch.set_autocast_enabled("cpu", True)
            torch.set_num_threads(2)
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            informer.Informer.__init__ = None  # type: ignore[assignment,method-assign]
            os.chdir("/")

    Trainer.train = train  # type: ignore[method-assign,assignment]


def test_a_run_is_as_if_it_were_alone(tmp_path: Path) -> None:
    """After another task and beside one that soils the process; numbers are those of a life of its own."""
    names = ["images", "series"]
    for name in names:
        straight(tmp_path / "alone" / name, RUNS[name])
    wanted = {name: RUNS[name] for name in names}
    together = Lives(tmp_path / "together", wanted, "--keep", "weights", prepare=soil)
    assert together.wait() == 0, together.output
    assert together.ended() == {"images": 0, "series": 0}
    for name in names:
        assert_same_result(tmp_path / "alone" / name, tmp_path / "together" / name)
        log = (tmp_path / "together" / name / "train.log").read_text()
        assert log.count("finished: ") == log.count("epoch 1/1") == 1
        assert not list((tmp_path / "together" / name).glob("lease.json"))
    again = Lives(tmp_path / "together", wanted)
    assert again.wait() == 0 and again.output.count("nothing to do") == 2


@pytest.mark.slow
def test_in_every_order(tmp_path: Path) -> None:
    for name, wanted in RUNS.items():
        straight(tmp_path / "alone" / name, wanted)
    for order in itertools.permutations(RUNS):
        folder = tmp_path / "-".join(order)
        life = Lives(folder, {n: RUNS[n] for n in order}, "--keep", "weights", prepare=soil)
        assert life.wait() == 0, life.output
        for name in order:
            assert_same_result(tmp_path / "alone" / name, folder / name)


def test_one_that_fails_harms_no_other(tmp_path: Path) -> None:
    wanted = {
        n: envelope("forecasting", n, epochs=1, seed=i) for i, n in enumerate(["dies", "raises", "good"])
    }
    wanted["wrong"] = envelope("forecasting", "wrong", epochs=1, dataset="csv")
    wanted["absent"] = None
    life = Lives(tmp_path, wanted, prepare=fail)
    assert life.wait() == 1, life.output
    assert life.ended() == {"dies": 139, "raises": 1, "good": 0, "wrong": 1, "absent": 1}
    assert f"{tmp_path / 'dies'}: killed by SIGSEGV" in life.output
    assert "RuntimeError: a fault" in (tmp_path / "raises" / "train.log").read_text()
    reason = (tmp_path / "wrong" / "train.log").read_text()
    assert reason.count("\n") == 1 and f"{tmp_path / 'wrong'}: {reason}" in life.output
    assert f"{tmp_path / 'absent.json'} cannot be read: No such file" in life.output


def fail() -> None:
    """Runs of the seeds 0 and 1 come to a bad end in their first step."""
    from favit.train.learner import Learner

    original = Learner.step

    def step(self: Learner, *arguments: object) -> object:
        if self._chosen.seed == 0:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self._chosen.seed == 1:
            raise RuntimeError("a fault")
        return original(self, *arguments)  # type: ignore[arg-type]

    Learner.step = step  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGUSR2, marks=pytest.mark.slow)])
def test_stopped_or_killed_it_goes_on_with_what_is_not_finished(tmp_path: Path, number: int) -> None:
    wanted = {n: envelope("forecasting", n, epochs=2, seed=i) for i, n in enumerate(["one", "two", "three"])}
    life = Lives(tmp_path, wanted, "--keep", "weights", prepare=slow_down, given=(0.05,))
    life.until(lambda: list((tmp_path / "two").glob("checkpoint-*.pt")) != [])
    life.signal(number)  # to the process alone, not to the child that trains
    if number == signal.SIGKILL:
        assert life.wait() == -number
        assert life.ended() == {"one": 0}
    else:
        assert life.wait() == several.INTERRUPTED, life.output
        assert life.ended() == {"one": 0, "two": 4}
        assert f"stopped by {signal.Signals(number).name}" in (tmp_path / "two" / "train.log").read_text()
    assert not (tmp_path / "three").exists()
    again = Lives(tmp_path, wanted, "--keep", "weights", "--wait")  # the kill of its child may be under way
    assert again.wait() == 0, again.output
    assert again.ended() == {"one": 0, "two": 0, "three": 0}
    assert again.output.count("nothing to do") == 1 and again.output.count("resumed at epoch 2") == 1
    straight(tmp_path / "alone", wanted["two"])
    assert_same_result(tmp_path / "alone", tmp_path / "two")


def test_another_process_s_run_is_left_to_it(tmp_path: Path) -> None:
    wanted = {n: envelope("forecasting", n, epochs=1) for n in ("theirs", "ours")}
    other = Life(tmp_path / "theirs", wanted["theirs"], prepare=slow_down, given=(0.5,))
    other.until((tmp_path / "theirs" / "train.log").exists)
    life = Lives(tmp_path, wanted)
    assert life.wait() == 3, life.output
    assert life.ended() == {"theirs": 3, "ours": 0}
    assert other.wait() == 0
    assert "another process trains" not in (tmp_path / "theirs" / "train.log").read_text()


@pytest.mark.slow
def test_a_snapshot_trains_a_list_of_its_own_runs(tmp_path: Path) -> None:
    """As the workflow keeps it; a run of another snapshot is turned away, alone."""
    matrix = {"dataset": ["seattle_weather"], "model": ["informer"], "aggregator": ["full"]}
    matrix |= {"encoding": ["none"], "seed": [0, 1]}
    small = {k: v for k, v in RUNS["series"]["run"].items() if k.startswith("model.") or "length" in k}
    sweep = {"matrix": matrix, "settings": {**small, "horizon": 4, "epochs": 1, "schedule": "constant"}}
    config = parse({"results": str(tmp_path / "results"), "data": str(tmp_path), "sweeps": {"s": sweep}})
    found = Results(config, Fingerprinter(config.data))
    states = found.states(runs(config))
    guard.before_training(config, found, states)
    folders = [state.folder for state in states]
    kept = json.loads((folders[0] / "run.json").read_text())
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**kept, "snapshot": "0" * 16}))
    lines = [{"run": str(f / "run.json"), "out": str(f)} for f in folders]
    lines.append({"run": str(wrong), "out": str(tmp_path / "wrong")})
    (tmp_path / "list").write_text("\n".join(map(json.dumps, lines)))
    command = [sys.executable, str(tmp_path / "results" / "snapshots" / kept["snapshot"])]
    options = ["--runs", str(tmp_path / "list"), "--device", "cpu", "--threads", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert [json.loads(line)["exit_code"] for line in done.stdout.splitlines()] == [0, 0, 1]
    assert "prepared for snapshot 0000000000000000, but this is " in done.stderr
    assert all(state.counts for state in Results(config, Fingerprinter(config.data)).states(runs(config)))


GOOD = '{"run": "a.json", "out": "a"}'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lists no runs"),
        (f"{GOOD}\n\n{{", "line 3 is not JSON"),
        (f"{GOOD}\n[1]", "line 2 must be "),
        (f"{GOOD}\n" + '{"run": "b.json"}', "line 2 must be "),
        ('{"run": "b.json", "out": "b", "keep": "all"}', "line 1 must be "),
        ('{"run": "b.json", "out": 7}', "line 1: out must be a path, not 7"),
        (f"{GOOD}\n" + '{"run": "b.json", "out": "c/../a"}', "lines 1 and 2: both have the folder"),
        (f"{GOOD}\n{GOOD}", "lines 1 and 2: both have the folder"),
        (b"\xff", "is not text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_list_that_is_none_gets_one_line(tmp_path: Path, text: str | bytes | None, sentence: str) -> None:
    file = tmp_path / "list"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=sentence) as caught:
        several.train_all(argparse.Namespace(runs=file), lambda *_: 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [["--runs", "x", "--run", "y"], ["--run", "y"], ["--out", "z"], []])
def test_a_command_line_that_does_not_fit(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        process.main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == ""
    assert "give --run and --out for one run, or --runs" in said.err


def test_a_list_is_trained_by_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="remove --nodes and --processes"):
        launch.launch(["--runs=x", "--processes", "2"])
    assert process.main(["--runs", "absent"]) == 1
    assert capsys.readouterr().err == "absent cannot be read: No such file or directory\n"


def test_a_run_of_another_snapshot_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**RUNS["series"], "snapshot": "b" * 16}))
    wanted = request.read(str(tmp_path / "run.json"), tmp_path)
    request.check_snapshot("run.json", wanted)
    monkeypatch.setenv("FAVIT_SNAPSHOT", f"results/snapshots/{'b' * 16}")
    request.check_snapshot("run.json", wanted)
    monkeypatch.setenv("FAVIT_SNAPSHOT", f"results/snapshots/{'a' * 16}")
    with pytest.raises(
        ValueError, match="prepared for snapshot bbbbbbbbbbbbbbbb, but this is aaaaaaaaaaaaaaaa"
    ):
        request.check_snapshot("run.json", wanted)
