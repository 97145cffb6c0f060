"""Several processes train as one: as `torchrun` starts them, over gloo on the CPU."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from favit.train import weights
from tests.train.lives import Life, signal_after_step, straight
from tests.train.runs import assert_same_result, assert_same_tensors, envelope, history

# Everything that draws numbers for each process apart is off, so that two processes do what one does.
QUIET: dict[str, Any] = {
    "drop_path": 0.0,
    "crop_scale_min": 1.0,
    "randaugment": "",
    "flip": 0.0,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def member(rank: int, size: int, port: int, prepare: str = "", given: tuple = ()) -> None:
    """What torchrun tells its processes; then what the test wants of this one."""
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"})
    if prepare == "signal":
        signal_after_step(*given)


def together(
    folder: Path, wanted: dict, size: int, signals: dict[int, tuple[int, int]] | None = None
) -> list[Life]:
    """Start ``size`` processes; ``signals`` says which rank gets which signal after which step."""
    port = free_port()
    lives = []
    for rank in range(size):
        extra = ("signal", signals[rank]) if signals and rank in signals else ()
        lives.append(
            Life(folder, wanted, "--keep", "weights", prepare=member, given=(rank, size, port, *extra))
        )
    return lives


def assert_finished(lives: list[Life]) -> None:
    for life in lives:
        assert life.wait() == 0, life.output


@pytest.mark.parametrize(
    ("size", "batch_size", "at_once"),
    [(2, 9, 0), pytest.param(4, 8, 0, marks=pytest.mark.slow), pytest.param(2, 9, 2, marks=pytest.mark.slow)],
)
def test_several_processes_equal_one(tmp_path: Path, size: int, batch_size: int, at_once: int) -> None:
    """Also where the batch does not divide evenly, and where each process takes its share in parts."""
    wanted = envelope("classification", epochs=3, batch_size=batch_size, **QUIET)
    straight(tmp_path / "one", wanted)
    wanted = envelope("classification", epochs=3, batch_size=batch_size, micro_batch_size=at_once, **QUIET)
    assert_finished(together(tmp_path / "several", wanted, size))
    one, several = (weights.read(tmp_path / name / "weights.safetensors") for name in ("one", "several"))
    assert one.keys() == several.keys()
    difference = torch.cat([(several[name] - one[name]).abs().flatten() for name in one])
    # Where a gradient is nothing but rounding, Adam makes a whole step of it in either direction
    assert difference.max() < 3 * wanted["run"]["lr"]
    assert (difference > 1e-5).float().mean() < 0.02
    for mine, theirs in zip(history(tmp_path / "several"), history(tmp_path / "one"), strict=True):
        for key, value in mine.items():
            assert float(value) == pytest.approx(float(theirs[key]), rel=2e-5), key
    metrics = json.loads((tmp_path / "several" / "metrics.json").read_text())
    assert metrics["hardware"]["processes"] == size
    assert metrics["device_seconds"] == pytest.approx(size * metrics["wall_time_s"], rel=0.01)


def test_processes_see_different_augmentations() -> None:
    """Or two would train on the same noise."""
    from favit.train.augment.pipeline import Augmentation
    from favit.train.settings import Images, parse

    chosen = parse(Images, envelope("classification")["run"])
    augmentation = Augmentation(chosen, 0, (0.5,) * 3, (0.2,) * 3, 10, torch.device("cpu"))
    images, labels = torch.full((4, 3, 8, 8), 90, dtype=torch.uint8), torch.arange(4)
    assert not torch.equal(*(augmentation(images, labels, (0, 0, rank))[0] for rank in range(2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "asked"), [("classification", 1), pytest.param("forecasting", 0, marks=pytest.mark.slow)]
)
def test_all_stop_at_one_step_and_go_on_to_the_same_end(tmp_path: Path, task: str, asked: int) -> None:
    """Everything random on; one of two processes is told to stop."""
    wanted = envelope(task, epochs=3)
    assert_finished(together(tmp_path / "straight", wanted, 2))
    lives = together(tmp_path / "asked", wanted, 2, {asked: (4, signal.SIGUSR2)})
    assert [life.wait() for life in lives] == [4, 4], "".join(life.output for life in lives)
    saved = list((tmp_path / "asked").glob("checkpoint-*.pt"))
    assert saved and not (tmp_path / "asked" / "metrics.json").exists()
    again = together(tmp_path / "asked", wanted, 2)
    assert_finished(again)
    assert "resumed at epoch" in again[0].output
    assert_same_result(tmp_path / "straight", tmp_path / "asked")


def test_only_the_first_speaks_and_one_line_tells_what_is_wrong(tmp_path: Path) -> None:
    lives = together(tmp_path / "run", envelope("forecasting", epochs=1), 2)
    assert_finished(lives)
    assert "epoch 1/1" in lives[0].output and lives[1].output == ""


def test_a_second_pair_is_turned_away(tmp_path: Path) -> None:
    """The first of it meets the lease; the other must not wait for it for ever."""
    wanted = envelope("forecasting", epochs=1)
    from favit.disk.lease import Lease

    (tmp_path / "run").mkdir()
    held = Lease(tmp_path / "run").acquire()
    try:
        assert [life.wait(60) for life in together(tmp_path / "run", wanted, 2)] == [3, 3]
    finally:
        held.release()


def test_other_numbers_of_processes_go_on_and_say_so(tmp_path: Path) -> None:
    wanted = envelope("classification", epochs=2)
    lives = together(tmp_path / "run", wanted, 2, {0: (2, signal.SIGTERM)})
    assert [life.wait() for life in lives] == [4, 4]
    alone = straight(tmp_path / "run", wanted)
    assert "the checkpoint was written by 2 processes, now there are 1" in alone.output


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    """The real launcher, against the stand-in above."""
    wanted = envelope("forecasting", epochs=2)
    request = tmp_path / "request.json"
    request.write_text(json.dumps(wanted))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [
        "--run",
        str(request),
        "--out",
        str(tmp_path / "torchrun"),
        "--device",
        "cpu",
        "--keep",
        "weights",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, "-m", "--", "favit.train", *options], check=True, timeout=300, env=environment)
    assert_finished(together(tmp_path / "ours", wanted, 2))
    left, right = (weights.read(tmp_path / name / "weights.safetensors") for name in ("torchrun", "ours"))
    assert_same_tensors(left, right)
