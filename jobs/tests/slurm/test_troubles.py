"""A SLURM that is away, refuses, or has lost its memory; jobs that run out of theirs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SLEEPERS = """
rule all:
    input: expand("out/{i}", i=range(4))
rule sleeper:
    output: "out/{i}"
    shell: "sleep 6; echo {wildcards.i} >> ran; touch {output}"
"""

WAITERS = SLEEPERS.replace("sleep 6", "until [ -e go ]; do sleep 0.3; done")

HUNGRY = """
EAT = "echo {rule} >> tries; python -c 'x = bytearray(120_000_000); import time; time.sleep(4)'; touch {output}"
rule node:
    output: "node"
    resources: mem_mb=60
    shell: EAT
rule cpu:
    output: "cpu"
    resources: mem_mb_per_cpu=60
    shell: EAT
rule profile:
    output: "profile"
    shell: EAT
"""


def ran_once(s: Any) -> bool:
    return sorted((s.folder / "ran").read_text().split()) == ["0", "1", "2", "3"]


def test_controller_away_before_submission(sweep: Callable[..., Any], cluster: Any) -> None:
    """sbatch finds no controller for some time: it is tried again, and every job runs once."""
    s = sweep(SLEEPERS.replace("sleep 6; ", ""))
    cluster.stop("slurmctld")
    try:
        s.start()
        s.until("it is told", lambda: "not submitted yet" in s.text(), 120)
        time.sleep(5)
        assert s.process.poll() is None, s.text()
    finally:
        cluster.start("slurmctld")
    assert s.wait(150) == 0, s.text()
    assert ran_once(s) and "not submitted yet" in s.text()


def test_controller_away_while_running(sweep: Callable[..., Any], cluster: Any) -> None:
    s = sweep(SLEEPERS)
    s.start()
    s.until("they run", lambda: len([r for r in s.queue() if r[2] == "RUNNING"]) == 4)
    cluster.stop("slurmctld")
    try:
        time.sleep(12)
    finally:
        cluster.start("slurmctld")
    assert s.wait(150) == 0, s.text()
    assert ran_once(s)


def test_accounting_down(sweep: Callable[..., Any], cluster: Any, tmp_path: Path) -> None:
    """Neither slurmdbd nor sacct: the ends of jobs are seen all the same, cancelled ones included."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in Path("/usr/bin").iterdir():
        if tool.name != "sacct":
            (tools / tool.name).symlink_to(tool)
    s = sweep(WAITERS)
    s.path = f"{Path(sys.executable).parent}:{tools}"
    cluster.stop("slurmdbd")
    try:
        s.start()
        s.until("they run", lambda: len([r for r in s.queue() if r[2] == "RUNNING"]) == 4)
        cancelled = f"{s.arrays()[0]}_2"
        cluster.run("scancel", cancelled)
        s.until("it is gone", lambda: ["2"] not in [r[1:2] for r in s.queue()])
        (s.folder / "go").touch()
        assert s.wait(120) == 1
    finally:
        cluster.start("slurmdbd")
    assert s.text().count("CANCELLED - cancelled") == 1
    assert len((s.folder / "ran").read_text().split()) == 3


def test_cancelled_while_it_starts(sweep: Callable[..., Any], cluster: Any) -> None:
    """Whenever the signal comes, in the batch script, before the command or with it: nothing goes on to success.

    A SIGTERM that comes before the batch script is there SLURM loses itself, so that they end after KillWait (10 s).
    """
    long = SLEEPERS.replace("range(4)", "range(24)").replace("sleep 6", "sleep 20")
    s = sweep(long, "--submitit-array-parallelism", "6")
    s.start()
    seen: set[str] = set()
    while len(seen) < 24 and s.process.poll() is None:
        if starting := {f"{r[0]}_{r[1]}" for r in s.queue() if r[2] in ("RUNNING", "CONFIGURING")} - seen:
            time.sleep(0.05 * (len(seen) % 6))
            cluster.run("scancel", *starting)
            seen |= starting
    assert s.wait(120) == 1
    assert s.text().count("CANCELLED - cancelled") == 24 and not (s.folder / "ran").exists()


def test_out_of_memory_is_told_and_retried_with_more(sweep: Callable[..., Any]) -> None:
    """In the form in which it was asked for: of the node, of each CPU, or by the profile."""
    s = sweep(HUNGRY, "--retries", "1", "--submitit-memory-factor", "4")
    s.succeed("--submitit-mem", "70M", "--default-resources=runtime=5", "--", "node", "cpu", "profile")
    assert s.text().count("OUT_OF_MEMORY - killed for using more memory than it asked for") == 3
    for says in ("retrying with 240 MB\n", "retrying with 240 MB for each CPU", "retrying with 280 MB"):
        assert s.text().count(says) == 1, says
    assert sorted((s.folder / "tries").read_text().split()) == [
        "cpu",
        "cpu",
        "node",
        "node",
        "profile",
        "profile",
    ]


@pytest.mark.parametrize(
    ("wrong", "says", "offers"),
    [
        ("slurm_partition=nowhere", "invalid partition", "Its partitions are: graced, high, low"),
        ("slurm_account=nobody", "Invalid account", "lab (qos normal)"),
        ("gpu=9", "not available", "gpu:8"),
    ],
)
def test_wrong_requests_are_told_at_once(
    sweep: Callable[..., Any], wrong: str, says: str, offers: str
) -> None:
    s = sweep(SLEEPERS, "--default-resources", "mem_mb=100", "runtime=5", wrong)
    assert s.run() == 1
    assert "not submitted yet" not in s.text(), "it is not tried again"
    assert says.lower() in s.text().lower() and offers in s.text()
