"""The main process goes away, in every manner and at any moment; no run is lost, none runs twice."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

MIXED = """
rule all:
    input: expand("plain/{i}", i=range(30)), expand("nested/{i}", i=range(4))
rule plain:
    output: "plain/{i}"
    log: "log/{i}"
    shell: "sleep 1.{wildcards.i}; echo plain/{wildcards.i} >> ran; echo x > {output}; echo done > {log}"
rule nested:
    output: "nested/{i}"
    run:
        import time
        time.sleep(1)
        with open("ran", "a") as ran:
            print(output[0], file=ran)
        open(output[0], "w").write("x")
"""
OUTPUTS = [f"plain/{i}" for i in range(30)] + [f"nested/{i}" for i in range(4)]

ONE_NESTED = """
rule slow:
    output: "out/x"
    run:
        open("started", "w").close()
        import os, time
        while not os.path.exists("finish"):
            time.sleep(0.2)
        open(output[0], "w").write("x")
        with open("ran", "a") as ran:
            print("x", file=ran)
"""


def check_each_ran_once(s: Any, outputs: list[str]) -> None:
    ran = Counter((s.folder / "ran").read_text().split())
    assert ran == Counter(outputs), {name: n for name, n in ran.items() if n != 1}
    for output in outputs:
        record = s.metadata(output)
        assert record is not None and record["rule"] == output.split("/")[0], output
        assert not record["incomplete"] and record["starttime"] <= record["endtime"] + 1
    assert s.incomplete() == []


def test_ten_kills_at_random_moments(sweep: Callable[..., Any]) -> None:
    """Killed while submitting, running and finishing, each time started again with the same command."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    s = sweep(MIXED, "--submitit-array-parallelism", "3")
    for _ in range(10):
        s.start()
        time.sleep(draw.uniform(1.0, 4.0))
        if s.process.poll() is None:
            s.kill()
    s.succeed(timeout=200)
    check_each_ran_once(s, OUTPUTS)


def test_finished_while_dead(sweep: Callable[..., Any]) -> None:
    """Everything ends between the kill and the next start, plain and nested; nothing is run again."""
    s = sweep(MIXED)
    s.start()
    s.until("all is submitted", lambda: "as" in s.text() and len(s.arrays()) == 2)
    s.kill()
    s.until("all have ended", lambda: len(s.verdicts()) == len(OUTPUTS), 90)
    arrays = s.arrays()
    s.succeed()
    assert s.arrays() == arrays and s.text().count("finished meanwhile") == len(OUTPUTS)
    check_each_ran_once(s, OUTPUTS)
    s.succeed("--forcerun", "nested", "--", "nested/0")
    assert len(s.arrays()) == 3, "what was dealt with runs again when forced"


def test_changed_command_replaces_the_running_job(sweep: Callable[..., Any]) -> None:
    first = (
        'rule a:\n    output: "a"\n    shell: "touch started; sleep 60; echo old >> ran; touch {output}"\n'
    )
    s = sweep(first)
    s.start("a")
    s.until("it runs", lambda: (s.folder / "started").exists())
    s.kill()
    (s.folder / "Snakefile").write_text(first.replace("sleep 60; echo old", "echo new"))
    s.succeed("a")
    assert (s.folder / "ran").read_text() == "new\n" and "earlier jobs to end" in s.text()


def test_corrected_requests_reach_jobs_that_wait_and_leave_those_that_run(sweep: Callable[..., Any]) -> None:
    """After kill -9: a changed time limit and a changed body, while one job of each rule runs and others wait."""
    text = """
rule all:
    input: expand("plain/{i}", i=range(3)), expand("nested/{i}", i=range(2))
rule plain:
    output: "plain/{i}"
    resources: runtime=7, cpus_per_task=32, gpu=1
    shell: "squeue -h -j $SLURM_JOB_ID -o %l > {output}; until [ -e go ]; do sleep 0.2; done; echo {output} >> ran"
rule nested:
    output: "nested/{i}"
    resources: slurm_partition="closed"
    run:
        open(output[0], "w").write("old")
        open("ran", "a").write(output[0] + "\\n")
"""
    s = sweep(text)
    run = s.cluster.run
    run("scontrol", "create", "PartitionName=closed", "Nodes=node1", "State=DOWN", "MaxTime=60")
    try:
        s.start()
        s.until(
            "two run, three wait",
            lambda: sorted(r[2] for r in s.queue()) == ["PENDING"] * 3 + ["RUNNING"] * 2,
        )
        s.kill()
        (s.folder / "Snakefile").write_text(text.replace("runtime=7", "runtime=9").replace('"old"', '"new"'))
        s.start()
        s.until("they are replaced", lambda: "3 queued jobs now ask for other resources" in s.text())
        s.until("they are submitted", lambda: len(s.arrays()) == 4)
        (s.folder / "go").touch()
        run("scontrol", "update", "PartitionName=closed", "State=UP")
        assert s.wait() == 0, s.text()
    finally:
        run("scontrol", "update", "PartitionName=closed", "State=UP")
        run("scancel", "--partition=closed", check=False)
        s.until("the partition is empty", lambda: not run("squeue", "-h", "-p", "closed"))
        run("scontrol", "delete", "PartitionName=closed")
    limits = sorted((s.folder / f"plain/{i}").read_text().strip() for i in range(3))
    assert limits == ["7:00", "7:00", "9:00"]
    assert (s.folder / "nested/0").read_text() == "new"
    assert len((s.folder / "ran").read_text().split()) == 5


def test_interrupt_cancels_everything_at_once(sweep: Callable[..., Any]) -> None:
    s = sweep(MIXED.replace("sleep 1", "sleep 100"))
    s.start()
    s.until("they run", lambda: [r for r in s.queue() if r[2] == "RUNNING"])
    s.interrupt()
    assert s.wait(60) != 0
    s.until("all are gone", lambda: not [r for r in s.queue() if r[2] != "COMPLETING"], 40)
    assert "Cancelled" in s.text()


def test_start_after_interrupt_waits_until_the_cancelled_jobs_are_gone(sweep: Callable[..., Any]) -> None:
    """Two copies of a run must not write at once, however long the first takes to end."""
    stubborn = """
rule a:
    output: "a"
    shell: "trap '' TERM; if [ -e begun ]; then test -e over; touch {output}; "
           "else touch begun; sleep 8; touch over; fi"
"""
    s = sweep(stubborn)
    s.start("a")
    s.until("it runs", lambda: (s.folder / "begun").exists())
    s.interrupt()
    s.wait(60)
    s.succeed("a")
    assert "earlier jobs to end" in s.text()


def test_left_running_by_interrupt(sweep: Callable[..., Any]) -> None:
    """A queued nested job that Ctrl-C leaves to itself finishes, and the next start takes it over."""
    s = sweep(ONE_NESTED, "--submitit-keep-running")
    s.cluster.run("scontrol", "update", "PartitionName=low", "State=DOWN")
    try:
        s.start("out/x")
        s.until("it is queued", lambda: s.queue())
        s.interrupt()
        s.wait(60)
    finally:
        s.cluster.run("scontrol", "update", "PartitionName=low", "State=UP")
    s.until("it runs, alone", lambda: (s.folder / "started").exists())
    s.start("out/x")
    s.until("it is taken over", lambda: "is running already" in s.text())
    (s.folder / "finish").touch()
    assert s.wait() == 0, s.text()
    assert (s.folder / "ran").read_text() == "x\n" and len(s.arrays()) == 1
    record = s.metadata("out/x")
    assert record is not None and record["rule"] == "slow"


def test_second_sweep_in_the_folder_is_told_to_wait(sweep: Callable[..., Any]) -> None:
    s = sweep(ONE_NESTED)
    s.start("out/x")
    s.until("it runs", lambda: (s.folder / "started").exists())
    first = s.process
    assert s.run("--", "out/x") == 1
    assert "another sweep runs in this folder" in s.text()
    s.process = first
    (s.folder / "finish").touch()
    assert s.wait() == 0, s.text()
