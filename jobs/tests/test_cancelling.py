"""Ctrl-C ends the jobs and gives the folder up, whatever the disk says."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit.clusters.base import NoAnswer
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.journal import Batch
from snakemake_executor_plugin_submitit.tickets import Ticket
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

FULL = OSError(28, "No space left on device")


@pytest.fixture
def happened() -> list[str]:
    return []


@pytest.fixture
def executor(tmp_path: Path, happened: list[str]) -> Any:
    """An executor with two submitted jobs, the answer to one of whose submissions could not be written down."""
    made: Any = Executor.__new__(Executor)
    batches = [Batch(tmp_path, name, "slurm", {}, {}, str(tmp_path)) for name in "ab"]
    for batch in batches:
        batch.files.create()
    batches[0].add_array("7", 0)
    tickets = [
        Ticket(None, batch, 0, [], job_id=f"{job}_0") for batch, job in zip(batches, "78", strict=True)
    ]
    made._submitting, made._lock, made._stopping = threading.Lock(), threading.RLock(), False
    made._tickets, made.settings = dict(enumerate(tickets)), SimpleNamespace(keep_running=False)
    made.desk = SimpleNamespace(drop=list)
    made.cluster = SimpleNamespace(cancel=lambda ids: happened.append(f"scancel {' '.join(sorted(ids))}"))
    made.lease = SimpleNamespace(release=lambda: happened.append("lease released"))
    made._say = lambda message: happened.append(f"said {message.partition(':')[0]}")
    return made


def test_a_full_disk_keeps_nothing_running(
    executor: Any, happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise FULL

    monkeypatch.setattr(Batch, "bury", full)
    monkeypatch.setattr(RemoteExecutor, "shutdown", full)
    with pytest.raises(OSError, match="No space"):
        executor.cancel()
    marks = "said Could not mark cancelled jobs as such, so one may still start"
    assert happened == ["scancel 7 8", "said Cancelled 2 jobs.", marks, "lease released"]


def test_what_is_cancelled_never_starts(
    executor: Any, happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteExecutor, "shutdown", lambda self: None)

    def silent(ids: Any) -> None:
        raise NoAnswer("the controller is away")

    executor.cluster.cancel = silent
    executor.cancel()
    assert [t.batch.claimed_by(0) for t in executor._tickets.values()] == ["tombstone"] * 2
    assert happened == ["said Could not cancel 7, 8", "lease released"]
