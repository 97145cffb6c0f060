"""How a life of a run can end other than well: told to wait, fenced, out of disk, out of bounds, ill-asked."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
from conftest import assert_same_result, envelope  # type: ignore[attr-defined]
from lives import Life  # type: ignore[import-not-found]
from test_resume import signal_after_step, straight  # type: ignore[import-not-found]


def slow_down(seconds: float, job: str = "", life: int = 0) -> None:
    """This process takes its time over each step, as a life of an allocation, and looks at its lease often."""
    import functools

    from favit.train import __main__ as program
    from favit.train.lease import Lease
    from favit.train.loop import Trainer

    os.environ.update({"SLURM_JOB_ID": job, "SLURM_RESTART_COUNT": str(life)} if job else {})
    program.Lease = functools.partial(Lease, renew_every=0.02)  # type: ignore[attr-defined,misc,assignment]
    original = Trainer._train_step

    def slowly(self: Trainer, *arguments: object) -> object:
        time.sleep(seconds)
        return original(self, *arguments)  # type: ignore[arg-type]

    Trainer._train_step = slowly  # type: ignore[method-assign,assignment]


def test_a_second_process_says_so_and_leaves(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=2)
    first = Life(tmp_path / "run", wanted, prepare=slow_down, given=(0.3,))
    first.until((tmp_path / "run" / "lease.json").exists)
    second = Life(tmp_path / "run", wanted)
    assert second.wait() == 3
    assert second.output.count("\n") == 1
    assert f"another process trains this run (process {first.process.pid} on " in second.output
    assert first.wait() == 0, first.output


def test_a_newer_life_fences_the_older(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=3)
    straight(tmp_path / "straight", wanted)
    run = tmp_path / "run"
    older = Life(run, wanted, "--keep", "weights", prepare=slow_down, given=(0.2, "7", 0))
    older.until(lambda: (run / "train.log").exists() and "epoch 1/3" in (run / "train.log").read_text())
    newer = Life(run, wanted, "--keep", "weights", prepare=slow_down, given=(0.0, "7", 1))
    assert older.wait() == 3, older.output
    assert "another process has taken this run over" in older.output
    assert newer.wait() == 0, newer.output
    assert "resumed at epoch 2" in newer.output
    assert_same_result(tmp_path / "straight", run)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_it_with_one_line_and_the_last_checkpoint(tmp_path: Path, number: int) -> None:
    wanted = envelope("forecasting", epochs=3)
    straight(tmp_path / "straight", wanted)
    life = Life(
        tmp_path / "full", wanted, "--keep", "weights", prepare=no_space_for_checkpoint, given=(2, number)
    )
    assert life.wait() == 5
    errors = [line for line in life.output.splitlines() if "  epoch " not in line]
    assert len(errors) == 1 and os.strerror(number) in errors[0] and "checkpoint there is intact" in errors[0]
    assert len(list((tmp_path / "full").glob("checkpoint-*.pt"))) == 1
    assert not list((tmp_path / "full").glob(".*.tmp"))
    again = straight(tmp_path / "full", wanted)
    assert "resumed at epoch 2" in again.output
    assert_same_result(tmp_path / "straight", tmp_path / "full")


def no_space_for_checkpoint(so_manieth: int, number: int) -> None:
    """Half of this process's so-manieth checkpoint fits on the disk."""
    asked, original = [], Path.write_bytes

    def write_bytes(self: Path, data: bytes) -> int:
        if self.name.startswith(".checkpoint"):
            asked.append(1)
            if len(asked) == so_manieth:
                original(self, data[: len(data) // 2])
                raise OSError(number, os.strerror(number), str(self))
        return original(self, data)

    Path.write_bytes = write_bytes  # type: ignore[method-assign,assignment]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_on_a_disk_that_is_really_full(tmp_path: Path) -> None:
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=450k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        wanted = envelope("forecasting", epochs=6)
        life = Life(small / "run", wanted)
        assert life.wait() == 5, life.output
        assert "No space left on device" in life.output
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("lives", [1, 2])
def test_a_loss_that_is_not_finite_is_a_result(tmp_path: Path, task: str, lives: int) -> None:
    wanted = envelope(task, epochs=4)
    run = tmp_path / "run"
    if lives == 2:
        life = Life(run, wanted, prepare=signal_after_step, given=(5, signal.SIGTERM))
        assert life.wait() == 4
    life = Life(run, wanted, prepare=poison, given=(7 if lives == 1 else 2,))
    assert life.wait() == 0, life.output
    assert "diverged: the loss of step 7 is not finite" in life.output
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["status"], metrics["diverged_at_step"], metrics["metrics"]) == ("diverged", 7, {})
    assert metrics["fingerprint"] == wanted["fingerprint"]
    assert not list(run.glob("checkpoint-*.pt"))
    again = Life(run, wanted)
    assert again.wait() == 0
    assert "nothing to do" in again.output, "a diverged run must not be tried again"


def poison(step: int) -> None:
    """This process's so-manieth training step has an infinite loss."""
    from favit.train.loop import Trainer

    taken, original = [], Trainer._train_step

    def poisoned(self: Trainer, batch: object, examples: object) -> object:
        taken.append(1)
        if len(taken) == step:
            batch.weights.fill_(float("inf"))  # type: ignore[attr-defined]
        return original(self, batch, examples)  # type: ignore[arg-type]

    Trainer._train_step = poisoned  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dataset": "cifar100"}, "cifar-100-python/train not found"),
        ({"warmup_epochs": 9}, r"warmup_epochs \(9\) and cooldown_epochs \(0\) must fit into epochs \(5\)"),
        ({"model": "favit_b9"}, "unknown model 'favit_b9'; did you mean 'favit_b"),
        ({"randaugment": "m9-x3"}, "randaugment: 'x3'"),
        ({"color_jitter": 0.4}, "color_jitter and randaugment exclude each other"),
    ],
)
def test_what_was_asked_wrongly_gets_one_line(tmp_path: Path, changes: dict, sentence: str) -> None:
    import re

    life = Life(tmp_path / "run", envelope("classification", **changes), "--data", str(tmp_path / "nothing"))
    assert life.wait() == 1
    assert re.search(sentence, life.output) and life.output.count("\n") == 1, life.output
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_bare_run_is_completed_and_fingerprinted(tmp_path: Path) -> None:
    bare = {
        "dataset": "seattle_weather",
        "model": "informer",
        "aggregator": "full",
        "encoding": "none",
        "seed": 0,
    }
    small = {
        "epochs": 1,
        "schedule": "halving",
        "input_length": 8,
        "label_length": 4,
        "horizon": 2,
        "batch_size": 512,
    }
    life = Life(tmp_path / "run", {**bare, **small, "model.d_model": 16, "model.d_ff": 16})
    assert life.wait() == 0, life.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["run"]["optimizer"] == "adamw"
    assert set(metrics["fingerprint"]) >= {"digest", "settings", "code", "data", "versions"}
    assert json.loads((tmp_path / "run" / "run.json").read_text())["run"] == metrics["run"]


def test_a_bare_run_with_an_unknown_setting(tmp_path: Path) -> None:
    bare = {
        "dataset": "digits",
        "model": "favit_b0",
        "aggregator": "max_pool",
        "encoding": "none",
        "seed": 0,
        "epoch": 3,
    }
    life = Life(tmp_path / "run", bare)
    assert life.wait() == 1
    assert "did you mean 'epochs'?" in life.output and life.output.count("\n") == 1
