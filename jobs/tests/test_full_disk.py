"""A disk that is full for a while, or a quota that is used up, ends no command and loses no result."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snakemake_executor_plugin_submitit.allocation import claim, files, pack, verdict
from snakemake_executor_plugin_submitit.allocation.claim import Life
from snakemake_executor_plugin_submitit.allocation.folder import BatchFolder
from snakemake_executor_plugin_submitit.allocation.verdict import Verdict, read_verdict, write_verdict

FOUND = Verdict(0, "10_0", "n1", 0.0, 1.0, 1, 1024, False)


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    BatchFolder(tmp_path).create()
    return tmp_path


def full(times: float, number: int, then: Callable[..., Any]) -> Callable[..., Any]:
    """A function that fails so often with this error, and then does what `then` does."""
    left = [times]

    def write(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(number, "no room")
        return then(*arguments, **named)

    return write


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(files.time, "sleep", found.append)
    return found


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_verdict_waits_for_room(
    batch: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float], number: int
) -> None:
    monkeypatch.setattr(verdict, "write_json", full(3, number, verdict.write_json))
    write_verdict(batch, 0, FOUND)
    assert read_verdict(batch, 0) == FOUND and slept == [1, 2, 4]


def test_other_errors_are_not_waited_for(
    batch: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    monkeypatch.setattr(verdict, "write_json", full(1, errno.EACCES, verdict.write_json))
    with pytest.raises(PermissionError):
        write_verdict(batch, 0, FOUND)
    assert slept == []


def test_a_missed_heartbeat_ends_no_command(
    batch: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    monkeypatch.setattr(claim, "write_json", full(1, errno.ENOSPC, claim.write_json))
    life = Life.begin(batch, 0, "", 1)
    assert slept == [1], "a start is noted, for it is counted"
    monkeypatch.setattr(claim, "write_json", full(1, errno.ENOSPC, claim.write_json))
    assert life.goes_on() and not life.fenced()


def test_a_pack_whose_claims_fail_goes_on_with_what_it_runs(
    batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    shares = {"slots": 2, "rounds": 1, "jobs_per_gpu": 1, "cpus": 1, "gpus": 0, "memory_mb": 0}
    intent = {"pack": shares, "tasks": [{"limit_s": None}] * 2}
    one = pack.Pack(batch, range(2), intent, 0)
    BatchFolder(batch).pack_life(one.owner).write_text(json.dumps(one.start))
    monkeypatch.setattr(pack, "claim", full(9, errno.ENOSPC, pack.claim))
    one._fill()
    assert one.running == {} and one._unclaimed() == {0, 1}
