"""Snakemake itself as a job, on a SLURM that is a few lines of Python."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake_executor_plugin_submitit import main_job, submit
from snakemake_executor_plugin_submitit.lease import Lease

SLOW = """
rule all:
    input: expand("out/{i}", i=range(3))
rule work:
    output: "out/{i}"
    shell: "echo {wildcards.i} >> began; until [ -e go ]; do sleep 0.2; done; echo {wildcards.i} >> ran; touch {output}"
"""
OPTIONS = ("--nolock", "--rerun-incomplete", "--jobs", "9", "--latency-wait", "2")


@pytest.fixture
def login(
    on_fake_slurm: Callable[[str], Any],
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """`login("submit", ...)`: one of the plugin's commands, typed in the workflow's folder. Its main job is ended."""
    w = on_fake_slurm(SLOW)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake_executor_plugin_submitit", *words]
        return subprocess.run(
            command,
            cwd=w.folder,
            env=os.environ | w.env,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    run.workflow = w  # type: ignore[attr-defined]
    yield run
    run("submit", "--stop")


def submitted(login: Any, *more: str) -> subprocess.CompletedProcess[str]:
    return login("submit", "--", "--executor", "submitit", *OPTIONS, *more)


@pytest.mark.slow
def test_submitted_followed_and_refused_twice(login: Any, fake_slurm: Any) -> None:
    w = login.workflow
    first = submitted(login)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[1:] == [
        "Follow it: python -m snakemake_executor_plugin_submitit status --follow",
        "Stop it and its jobs: python -m snakemake_executor_plugin_submitit submit --stop",
    ]
    w.until(lambda: (w.folder / "began").exists() and len(w.read("began").split()) == 3)
    again = submitted(login)
    assert again.returncode == 1 and "already runs from here as job 100." in again.stderr
    assert "job 100 is running on here" in login("status").stdout
    (w.folder / "go").touch()
    followed = login("status", "--follow")
    assert "Snakemake itself: job 100: done" in followed.stdout and "3 finished" in followed.stdout
    assert sorted(w.read("ran").split()) == ["0", "1", "2"]
    calls = [call for call in fake_slurm.calls if call.startswith("sbatch")]
    assert "--test-only" in calls[1], "its first act"
    assert submitted(login).returncode == 0, "it is over, so another may follow"


@pytest.mark.slow
def test_only_stop_cancels(login: Any, fake_slurm: Any) -> None:
    w = login.workflow
    assert submitted(login).returncode == 0
    w.until(lambda: (w.folder / "began").exists() and len(w.read("began").split()) == 3)
    stopped = login("submit", "--stop")
    assert "Stopped Snakemake" in stopped.stdout, stopped.stderr
    assert not (w.folder / "ran").exists() and "stopped" in login("status").stdout
    assert any(call.startswith("scancel --batch --signal=INT 100") for call in fake_slurm.calls)
    log = w.read(".snakemake/submitit/main/1/log")
    assert "Cancelled 3 jobs." in log


def test_an_interrupted_main_job_leaves_its_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not main_job.keeps_running() and main_job.identity() == ""
    monkeypatch.setenv("SNAKEMAKE_SUBMITIT_MAIN", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert main_job.keeps_running() and main_job.identity() == "12"
    (tmp_path / "stop").touch()
    assert not main_job.keeps_running()


def test_a_new_start_of_the_job_takes_the_lease_at_once(tmp_path: Path) -> None:
    """Its earlier start was on another node, and showed itself a moment ago."""
    held = {"host": "elsewhere", "pid": 1, "nonce": "n", "process_start": "x", "job": "12"}
    (tmp_path / "lease.json").write_text(json.dumps(held))
    begun = time.monotonic()
    said: list[str] = []
    mine = Lease(tmp_path / "lease.json", 60.0, lambda: None, said.append, job="12")
    mine.acquire()
    mine.release()
    assert time.monotonic() - begun < 30 and not said, "nothing was waited for"


@pytest.mark.slow
def test_partitions_that_take_no_jobs_from_nodes(login: Any, fake_slurm: Any) -> None:
    (fake_slurm.folder / "alloc_nodes").write_text("login1,here")
    refused = submitted(login, "out/1")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert "Partition small takes jobs only from login1,here" in refused.stderr
    assert "run `snakemake --executor submitit --nolock" in refused.stderr and "out/1`" in refused.stderr
    assert not any(call.startswith("sbatch") for call in fake_slurm.calls)
    (fake_slurm.folder / "alloc_nodes").write_text("there,here,login1")
    assert submitted(login).returncode == 0


@pytest.mark.slow
def test_nodes_from_which_sbatch_refuses(login: Any, fake_slurm: Any) -> None:
    """It is told in one line, in the log and in status, and nothing else is started."""
    w = login.workflow
    (fake_slurm.folder / "sbatch.wrong").write_text(
        "\nerror allocation failure: Access/permission denied"
    )  # the second call
    assert submitted(login).returncode == 0
    w.until(lambda: (w.folder / ".snakemake/submitit/main/1/ended").exists())
    status = login("status").stdout
    for text in (w.read(".snakemake/submitit/main/1/log"), status):
        assert "so Snakemake has to run on a login node: snakemake --executor submitit" in text
        assert "Access/permission denied" in text
    assert not (w.folder / "began").exists()


def test_a_sweep_by_hand_keeps_it_out(login: Any, fake_slurm: Any) -> None:
    w = login.workflow
    folder = w.folder / ".snakemake/submitit"
    folder.mkdir(parents=True)
    lease = Lease(folder / "lease.json", 60.0, lambda: None, lambda message: None)
    lease.acquire()
    refused = submitted(login)
    lease.release()
    assert refused.returncode == 1 and f"process {os.getpid()} on {socket.gethostname()}" in refused.stderr
    assert not any(call.startswith("sbatch") for call in fake_slurm.calls)


def test_what_the_profile_asks_for(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "default-resources:\n  slurm_partition: gpu,big\n  slurm_account: lab\n"
        "set-resources:\n  tables:\n    slurm_partition: small\n"
    )
    found = submit.wanted(["--profile", str(tmp_path), "all"])
    assert found["partitions"] == ["gpu", "big", "small"] and found["account"] == "lab"
    assert found["probe"] == {"partition": "gpu", "account": "lab"}
    named = submit.wanted([f"--profile={tmp_path}", "--submitit-partition=night"])
    assert named["partitions"][0] == "night"
    assert submit.wanted(["all"])["partitions"] == []
