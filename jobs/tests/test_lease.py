"""One sweep a folder; a holder that is gone does not keep others out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snakemake_executor_plugin_submitit.lease import Lease, process_start
from snakemake_interface_common.exceptions import WorkflowError


def lease(folder: Path, stale_s: float = 60.0, lost: list[str] | None = None) -> Lease:
    taken = lost if lost is not None else []
    return Lease(folder / "lease.json", stale_s, lambda: taken.append("lost"), lambda message: None)


def elsewhere(folder: Path) -> None:
    """A lease that a process on another host wrote just now."""
    (folder / "lease.json").write_text(
        json.dumps({"host": "other", "pid": 1, "nonce": "n", "process_start": "x"})
    )


def test_second_is_told_who_holds_it(tmp_path: Path) -> None:
    first = lease(tmp_path)
    first.acquire()
    with pytest.raises(WorkflowError, match=rf"process {os.getpid()} on .*Wait for it to finish"):
        lease(tmp_path).acquire()
    first.release()
    second = lease(tmp_path)
    second.acquire()
    first.release()
    assert second.held(), "a lease is released by its holder only"
    second.release()
    assert not (tmp_path / "lease.json").exists()


def test_killed_holder_on_this_host_is_no_obstacle(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; sys.path.insert(0, sys.argv[2]); from pathlib import Path;"
        "from snakemake_executor_plugin_submitit.lease import Lease;"
        "Lease(Path(sys.argv[1]) / 'lease.json', 60, print, print).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    jobs = str(Path(__file__).resolve().parents[1])
    subprocess.run([sys.executable, "-c", code, str(tmp_path), jobs], check=False)
    assert (tmp_path / "lease.json").exists()
    begun = time.monotonic()
    lease(tmp_path).acquire()
    assert time.monotonic() - begun < 1


def test_silent_holder_elsewhere_is_waited_for(tmp_path: Path) -> None:
    elsewhere(tmp_path)
    begun = time.monotonic()
    taken = lease(tmp_path, stale_s=1.0)
    taken.acquire()
    assert 0.8 < time.monotonic() - begun < 5 and taken.held()
    taken.release()


def test_a_lease_that_a_crash_has_emptied_is_waited_for(tmp_path: Path) -> None:
    """Nobody knows whose it was; nothing renews it."""
    (tmp_path / "lease.json").touch()
    second = Lease(tmp_path / "lease.json", 0.3, lambda: None, lambda text: None)
    second.acquire()
    assert second.held()
    second.release()


def test_living_holder_elsewhere_is_respected(tmp_path: Path) -> None:
    elsewhere(tmp_path)
    renew = f"import os, time\nfor _ in range(30):\n    time.sleep(0.1); os.utime({str(tmp_path / 'lease.json')!r})"
    with subprocess.Popen([sys.executable, "-c", renew]) as other:
        with pytest.raises(WorkflowError, match="on other"):
            lease(tmp_path, stale_s=10.0).acquire()
        other.kill()


def test_holder_learns_that_it_was_replaced(tmp_path: Path) -> None:
    lost: list[str] = []
    mine = lease(tmp_path, stale_s=0.6, lost=lost)
    mine.acquire()
    elsewhere(tmp_path)
    time.sleep(0.5)
    assert lost == ["lost"] and not mine.held()
    mine.release()
    assert (tmp_path / "lease.json").exists(), "the other's lease stays"


def test_processes_are_told_apart_by_their_start() -> None:
    assert process_start(os.getpid()) == process_start(os.getpid()) != process_start(1)
    assert process_start(2**22 + 1) is None
