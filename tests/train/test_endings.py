"""How a life of a run can end other than well: told to wait, fenced, out of disk, out of bounds, ill-asked."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest

from favit.disk.run_folder import RunFolder
from favit.identity import digests
from favit.train.__main__ import main
from favit.train.life import checkpoints, disk, request
from tests.train.lives import Life, signal_after_step, straight
from tests.train.runs import assert_same_result, envelope


def slow_down(seconds: float, job: str = "", life: int = 0) -> None:
    """This process takes its time over each step, as a life of an allocation, and looks at its lease often."""
    import functools

    from favit.disk.lease import Lease
    from favit.train.learner import Learner
    from favit.train.life import holding

    os.environ.update({"SLURM_JOB_ID": job, "SLURM_RESTART_COUNT": str(life)} if job else {})
    holding.Lease = functools.partial(Lease, renew_every=0.02)  # type: ignore[misc,assignment]
    original = Learner.step

    def slowly(self: Learner, *arguments: object) -> object:
        time.sleep(seconds)
        return original(self, *arguments)  # type: ignore[arg-type]

    Learner.step = slowly  # type: ignore[method-assign,assignment]


def test_a_second_process_says_so_and_leaves(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=2)
    first = Life(tmp_path / "run", wanted, prepare=slow_down, given=(0.3,))
    first.until((tmp_path / "run" / "lease.json").exists)
    second = Life(tmp_path / "run", wanted)
    assert second.wait() == 3
    assert second.output.count("\n") == 1
    assert f"another process trains this run (process {first.process.pid} on " in second.output
    assert first.wait() == 0, first.output


def test_a_second_process_that_may_wait_finds_the_result(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=2)
    first = Life(tmp_path / "run", wanted, prepare=slow_down, given=(0.1,))
    first.until((tmp_path / "run" / "lease.json").exists)
    second = Life(tmp_path / "run", wanted, "--wait")
    assert (first.wait(), second.wait()) == (0, 0), first.output + second.output
    said = second.output.splitlines()
    assert len(said) == 2 and said[0].endswith("; waiting") and "nothing to do" in said[1]


def test_a_result_that_the_workflow_removed_is_put_back(tmp_path: Path) -> None:
    """Snakemake removes a job's declared output before it starts the job, whoever has made it meanwhile."""
    wanted = envelope("forecasting", epochs=1)
    assert Life(tmp_path / "run", wanted).wait() == 0
    metrics = tmp_path / "run" / "metrics.json"
    result = metrics.read_bytes()
    metrics.unlink()
    again = Life(tmp_path / "run", wanted)
    assert again.wait() == 0 and "nothing to do" in again.output
    assert metrics.read_bytes() == result
    metrics.unlink()
    other = {**wanted, "fingerprint": {**wanted["fingerprint"], "digest": "another"}}
    assert Life(tmp_path / "run", other).wait() == 0
    assert json.loads(metrics.read_text())["fingerprint"]["digest"] == "another"


def test_data_that_were_not_there_at_first_are_recorded_by_who_read_them(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=1)
    wanted["fingerprint"]["data"] = None
    life = Life(tmp_path / "run", wanted)
    assert life.wait() == 0, life.output
    recorded = json.loads((tmp_path / "run" / "metrics.json").read_text())["fingerprint"]
    assert recorded == {**wanted["fingerprint"], "data": digests.data_digests(wanted["run"], tmp_path)}
    assert len(recorded["data"]["vega_datasets/_data/seattle-weather.csv"]) == 64
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == wanted


def test_a_checkpoint_is_not_gone_on_from_with_other_data(tmp_path: Path) -> None:
    run = {**envelope("forecasting")["run"], "dataset": "csv", "dataset.path": "own.csv"}
    fingerprint = {"digest": "0", "settings": digests.short_digest(run), "data": None}
    (tmp_path / "run.json").write_text(json.dumps({"run": run, "fingerprint": fingerprint}))
    identities = []
    for content in ("one", "two"):
        (tmp_path / "own.csv").write_text(content)
        identities.append(request.read(str(tmp_path / "run.json"), tmp_path).identity)
    assert identities[0] != identities[1]


def test_a_newer_life_fences_the_older(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=3)
    straight(tmp_path / "straight", wanted)
    run = tmp_path / "run"
    older = Life(run, wanted, "--keep", "weights", prepare=slow_down, given=(0.2, "7", 0))
    older.until(lambda: (run / "train.log").exists() and "epoch 1/3" in (run / "train.log").read_text())
    newer = Life(run, wanted, "--keep", "weights", prepare=slow_down, given=(0.0, "7", 1))
    assert older.wait() == 3, older.output
    assert "another process has taken over this run" in older.output
    assert newer.wait() == 0, newer.output
    assert "resumed at epoch 2" in newer.output
    assert_same_result(tmp_path / "straight", run)


@pytest.mark.parametrize("number", [errno.ENOSPC, pytest.param(errno.EDQUOT, marks=pytest.mark.slow)])
def test_a_full_disk_ends_it_with_one_line_and_the_last_checkpoint(tmp_path: Path, number: int) -> None:
    wanted = envelope("forecasting", epochs=3)
    straight(tmp_path / "straight", wanted)
    life = Life(
        tmp_path / "full", wanted, "--keep", "weights", prepare=no_space_for_checkpoint, given=(2, number)
    )
    assert life.wait() == 5
    errors = [line for line in life.output.splitlines() if "  epoch " not in line]
    assert len(errors) == 1 and os.strerror(number) in errors[0] and "checkpoint is intact" in errors[0]
    assert len(list((tmp_path / "full").glob("checkpoint-*.pt"))) == 1
    assert not list((tmp_path / "full").glob(".*.tmp"))
    again = straight(tmp_path / "full", wanted)
    assert "resumed at epoch 2" in again.output
    assert_same_result(tmp_path / "straight", tmp_path / "full")


@pytest.mark.parametrize(
    ("so_manieth", "number", "sentence"),
    [
        (1, errno.EROFS, "there is no checkpoint to resume from yet"),
        (2, errno.EIO, "the last checkpoint is intact"),
    ],
)
def test_a_disk_that_fails_gets_one_line(tmp_path: Path, so_manieth: int, number: int, sentence: str) -> None:
    wanted = envelope("forecasting", epochs=2)
    life = Life(tmp_path / "run", wanted, prepare=no_space_for_checkpoint, given=(so_manieth, number))
    assert life.wait() == 1, life.output
    errors = [line for line in life.output.splitlines() if "  epoch " not in line]
    assert errors == [f"{os.strerror(number)}: {tmp_path / 'run'}; {sentence}"]
    assert not list((tmp_path / "run").glob("lease.json")) and not list((tmp_path / "run").glob(".*.tmp"))


@pytest.mark.parametrize("number", [errno.EROFS, errno.ESTALE, errno.EIO, errno.EDQUOT, errno.ETIMEDOUT])
def test_what_is_said_of_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    error = OSError(number, os.strerror(number))
    assert disk.failed(error, tmp_path)
    (tmp_path / "checkpoint-0000000001.pt").write_bytes(b"torn")
    assert disk.words(error, tmp_path).endswith("; there is no checkpoint to resume from yet")
    checkpoints.save(RunFolder(tmp_path), 0, "a", b"state", {})
    assert disk.words(error, tmp_path) == f"{os.strerror(number)}: {tmp_path}; the last checkpoint is intact"

    def fail(self: Path) -> bytes:
        raise error

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "cannot tell whether" in disk.words(error, tmp_path)


def test_an_error_elsewhere_is_not_the_disk_s(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert not disk.failed(OSError(errno.ENOENT, "no", str(tmp_path / "other")), out)
    assert not disk.failed(OSError(errno.EPIPE, "no"), out)
    assert disk.failed(OSError(errno.EACCES, "no", str(out / "train.log")), out)
    assert "no: /data/x; " in disk.words(OSError(errno.EIO, "no", "/data/x"), out)


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
    from favit.train.learner import Learner
    from favit.train.order import Batch

    taken, original = [], Learner.step

    def poisoned(self: Learner, batch: Batch, *others: object) -> object:
        taken.append(1)
        if len(taken) == step:
            batch.weights.fill_(float("inf"))
        return original(self, batch, *others)  # type: ignore[arg-type]

    Learner.step = poisoned  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dataset": "cifar100"}, "cifar-100-python/train not found"),
        ({"model": "favit_b9"}, "unknown model 'favit_b9'; valid: .*favit_b0, "),
        ({"randaugment": "m9-x3"}, "randaugment: 'x3'"),
        ({"color_jitter": 0.4}, r"color_jitter \(0.4\) and randaugment \('m9.*'\) exclude each other"),
    ],
)
def test_what_was_asked_wrongly_gets_one_line(tmp_path: Path, changes: dict, sentence: str) -> None:
    import re

    life = Life(tmp_path / "run", envelope("classification", **changes), "--data", str(tmp_path / "nothing"))
    assert life.wait() == 1
    assert re.search(sentence, life.output) and life.output.count("\n") == 1, life.output
    assert not (tmp_path / "run" / "metrics.json").exists()


RUN = {"dataset": "seattle_weather", "model": "informer", "aggregator": "full", "encoding": "none", "seed": 0}
FINGERPRINT = {"digest": "0", "settings": digests.short_digest({**RUN, "lr": 1.0}), "data": {}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([RUN], "one JSON object"),
        ({"run": RUN}, "fingerprint is missing"),
        ({"run": [1], "fingerprint": FINGERPRINT}, "does not match the settings"),
        ({"run": RUN, "fingerprint": "0"}, "fingerprint is missing"),
        ({"run": RUN, "fingerprint": {"digest": 3}}, "fingerprint is missing"),
        ({"run": RUN, "fingerprint": FINGERPRINT}, "does not match the settings"),
        ({**RUN, "lr": [1]}, "lr must be"),
        ({**RUN, "dataset": 7}, "unknown data set '7'"),
        ({}, "seed is missing"),
        ("{torn", "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_a_malformed_request_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, sentence: str
) -> None:
    file = tmp_path / "run.json"
    raw = content if isinstance(content, str | bytes) else json.dumps(content)
    file.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    assert main(["--run", str(file), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("run", "out", "sentence"),
    [
        (".", "out", ". cannot be read: Is a directory"),
        ("absent.json", "out", "absent.json cannot be read: No such file"),
        ("run.json", "run.json", "cannot create the folder --out run.json"),
        ("run.json", "run.json/below", "cannot create the folder --out run.json/below"),
    ],
)
def test_paths_of_the_wrong_kind_get_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run: str,
    out: str,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({**RUN, "schedule": "constant"}))
    assert main(["--run", run, "--out", out]) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


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
