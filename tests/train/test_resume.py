"""Interrupted anywhere and started again, a run ends with the bits of one that nobody disturbed."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from favit.disk.run_folder import RunFolder
from favit.train import checkpoint
from favit.train.life import checkpoints
from tests.train.lives import Life, signal_after_step, straight
from tests.train.runs import assert_same_result, envelope, history


def saved_in(folder: Path, wanted: dict) -> tuple[dict, dict]:
    """The trainer's state in the newest checkpoint, and what was kept with it."""
    found = checkpoints.load(RunFolder(folder), wanted["fingerprint"]["digest"], print)
    assert found is not None
    return checkpoint.unpack(found[0]), found[1]


def test_two_runs_are_the_same_bits(tmp_path: Path, task: str) -> None:
    wanted = envelope(task, epochs=2)
    straight(tmp_path / "one", wanted)
    straight(tmp_path / "two", wanted)
    assert_same_result(tmp_path / "one", tmp_path / "two")


def test_another_seed_is_another_run(tmp_path: Path, task: str) -> None:
    straight(tmp_path / "one", envelope(task, epochs=1))
    straight(tmp_path / "two", envelope(task, epochs=1, seed=1))
    assert history(tmp_path / "one") != history(tmp_path / "two")


def killed_at_random(tmp_path: Path, wanted: dict, kills: int, small: bool = True) -> None:
    """Kill a run so many times, each life at a random moment of its training, then let it finish; compare."""
    straight(tmp_path / "straight", wanted, small)
    wall_time = json.loads((tmp_path / "straight" / "metrics.json").read_text())["wall_time_s"]
    took = wall_time / wanted["run"]["epochs"]
    chance = random.Random(os.urandom(8))
    most = wanted["run"]["epochs"] // (2 * kills)  # in a life: half of the run is left for its last one
    for life_number in range(kills):
        # The first gets through an epoch at least, so that there is something to go on from.
        epochs = chance.randint(0 if life_number else 1, most)
        given = (epochs, chance.uniform(0, took))
        life = Life(
            tmp_path / "killed", wanted, "--keep", "weights", prepare=die_after, given=given, small=small
        )
        assert life.wait() == -signal.SIGKILL, f"this life was to be killed after {given}: {life.output}"
        assert rows(tmp_path / "killed"), "no life got through an epoch"
    straight(tmp_path / "killed", wanted, small)
    assert_same_result(tmp_path / "straight", tmp_path / "killed")


def rows(folder: Path) -> list[dict[str, str]]:
    """Of ``history.csv``, where there is one."""
    path = folder / "history.csv"
    return list(csv.DictReader(path.open())) if path.exists() else []


def die_after(epochs: int, seconds: float) -> None:
    """This process dies so many seconds after as many epochs of its life, whatever it is doing then."""
    from favit.train.loop import Trainer

    begun, original = [], Trainer._train_epoch

    def train_epoch(self: Trainer) -> None:
        if len(begun) == epochs:
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        begun.append(1)
        original(self)

    Trainer._train_epoch = train_epoch  # type: ignore[method-assign,assignment]


@pytest.mark.slow
def test_killed_at_random_points(tmp_path: Path, task: str) -> None:
    killed_at_random(tmp_path, envelope(task, epochs=25), kills=2)


@pytest.mark.slow
def test_killed_at_ten_random_points_at_length(tmp_path: Path, task: str) -> None:
    larger = (
        {"limit_train": 200, "image_size": 64, "batch_size": 16}
        if task == "classification"
        else {"batch_size": 16}
    )
    killed_at_random(tmp_path, envelope(task, epochs=30, **larger), kills=10, small=False)


@pytest.mark.parametrize(
    ("task", "number"),
    [
        ("classification", signal.SIGUSR2),
        ("forecasting", signal.SIGTERM),
        pytest.param("classification", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("forecasting", signal.SIGUSR2, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_in_mid_epoch(tmp_path: Path, task: str, number: signal.Signals) -> None:
    wanted = envelope(task, epochs=3)
    straight(tmp_path / "straight", wanted)
    life = Life(tmp_path / "asked", wanted, "--keep", "weights", prepare=signal_after_step, given=(5, number))
    assert life.wait() == 4, life.output
    assert f"stopped by {number.name} after step 5" in life.output
    state, _ = saved_in(tmp_path / "asked", wanted)
    assert (state["epoch"], state["step"]) == divmod(5, len(state["losses"][0]))
    assert state["step"] != 0, "meant to stop within an epoch"
    assert not (tmp_path / "asked" / "metrics.json").exists()
    straight(tmp_path / "asked", wanted)
    assert_same_result(tmp_path / "straight", tmp_path / "asked")


def test_a_signal_while_scoring_repeats_no_training(tmp_path: Path, task: str) -> None:
    wanted = envelope(task, epochs=2)
    straight(tmp_path / "straight", wanted)
    life = Life(tmp_path / "asked", wanted, "--keep", "weights", prepare=signal_while_scoring)
    assert life.wait() == 4, life.output
    state, _ = saved_in(tmp_path / "asked", wanted)
    assert (state["epoch"], state["step"], state["history"]) == (0, len(state["losses"][0]), [])
    straight(tmp_path / "asked", wanted)
    assert_same_result(tmp_path / "straight", tmp_path / "asked")


def signal_while_scoring() -> None:
    """This process sends itself SIGTERM when it first scores."""
    from favit.train.learner import Learner

    original = Learner.score

    def score(self: Learner, *arguments: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)  # type: ignore[arg-type]

    Learner.score = score  # type: ignore[method-assign,assignment]


SHORT = {"epochs": 2, "batch_size": 512}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("short") / "straight"
    straight(folder, envelope("forecasting", **SHORT))
    return folder


@pytest.mark.parametrize(
    "call", [pytest.param(n, marks=[] if n in (2, 6) else pytest.mark.slow) for n in range(1, 9)]
)
def test_killed_while_writing(tmp_path: Path, short: Path, call: int) -> None:
    """Between a temporary file and its name, whatever file that is."""
    wanted = envelope("forecasting", **SHORT)
    life = Life(tmp_path / "killed", wanted, "--keep", "weights", prepare=die_before_naming, given=(call,))
    assert life.wait() == -signal.SIGKILL, life.output
    straight(tmp_path / "killed", wanted)
    assert_same_result(short, tmp_path / "killed")
    assert not list((tmp_path / "killed").glob(".*.tmp")), "temporary files stay behind"


def die_before_naming(call: int) -> None:
    """This process dies when it is about to give a file its name for the so-manieth time."""
    calls, original = [], Path.replace

    def replace(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, target)

    Path.replace = replace  # type: ignore[method-assign,assignment]


def test_the_previous_checkpoint_serves_where_the_last_is_torn(tmp_path: Path, task: str) -> None:
    wanted = envelope(task, epochs=3)
    straight(tmp_path / "straight", wanted)
    life = Life(
        tmp_path / "torn", wanted, "--keep", "weights", prepare=signal_after_step, given=(7, signal.SIGTERM)
    )
    assert life.wait() == 4
    last = max((tmp_path / "torn").glob("checkpoint-*.pt"))
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    again = straight(tmp_path / "torn", wanted)
    assert f"skipped checkpoint {last.name}: incomplete" in again.output
    assert "resumed at epoch" in again.output
    assert_same_result(tmp_path / "straight", tmp_path / "torn")


def test_a_foreign_checkpoint_is_told_and_not_used(tmp_path: Path) -> None:
    ours, theirs = (
        envelope("forecasting", epochs=2),
        envelope("forecasting", digest="f" * 12, epochs=2, seed=5),
    )
    straight(tmp_path / "straight", ours)
    life = Life(tmp_path / "both", theirs, prepare=signal_after_step, given=(6, signal.SIGTERM))
    assert life.wait() == 4
    again = straight(tmp_path / "both", ours)
    assert ": it belongs to another run (ffffffffffff, this is 0123456789ab)" in again.output
    assert "resumed" not in again.output
    assert_same_result(tmp_path / "straight", tmp_path / "both")


@pytest.mark.parametrize("keep", ["none", "weights", "all"])
def test_what_is_kept_after_success(tmp_path: Path, keep: str) -> None:
    life = Life(tmp_path / "run", envelope("forecasting", epochs=1), "--keep", keep)
    assert life.wait() == 0, life.output
    names = {p.name.split("-")[0] for p in (tmp_path / "run").iterdir()}
    extra = {"none": set(), "weights": {"weights.safetensors"}, "all": {"weights.safetensors", "checkpoint"}}[
        keep
    ]
    result = {"run.json", "metrics.json", ".metrics.json", "history.csv", "predictions.npz", "train.log"}
    assert names == result | extra


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=1)
    straight(tmp_path / "run", wanted)
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    again = straight(tmp_path / "run", wanted)
    assert "nothing to do" in again.output
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before


def test_time_adds_up_over_lives(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=2)
    first = Life(tmp_path / "run", wanted, prepare=signal_after_step, given=(4, signal.SIGTERM))
    assert first.wait() == 4
    _, so_far = saved_in(tmp_path / "run", wanted)
    time.sleep(1.1)
    straight(tmp_path / "run", wanted)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["wall_time_s"] > so_far["seconds"] > 0
    assert metrics["started"] == so_far["started"] < metrics["finished"]
