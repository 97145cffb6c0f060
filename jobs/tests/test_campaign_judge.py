"""The judge of a campaign recognises what it is there for, and nothing else; its clients go wrong when told to."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from campaign import clients, workload
from campaign.judge import Case, Harm, Tally, judge, told_to_have_failed
from campaign.stage import ended_starts
from snakemake_executor_plugin_submitit import failure
from snakemake_executor_plugin_submitit.clusters.base import State


def said(*words: str) -> list[dict[str, Any]]:
    """Records, one each 10 seconds from 10 on."""
    return [{"word": word, "time": 10.0 * n, "task": "1_0"} for n, word in enumerate(words, 1)]


def case(*words: str, **more: Any) -> Case:
    return Case("j", "right", **{"result": "right", "records": said(*words), **more})


def harm(when: float, lasting: bool = True) -> list[Harm]:
    return [Harm("j", when, "killed", lasting)]


def verdict(started: float, ended: float, code: int = 143) -> dict[str, Any]:
    return {"started": started, "ended": ended, "exit_code": code, "reason": ""}


FINE = {
    "once": case("start", "done"),
    "preempted, and went on": case("start", "saved", "start", "done"),
    "killed without a word, and went on": case("start", "start", "done"),
    "killed, told, started again": case("start", "start", "done", told=[15.0], harms=harm(12.0)),
    "killed, with a verdict": case("start", "start", "done", verdicts=[verdict(9, 13)], harms=harm(13.1)),
    "its node lost in the moment of its success": case(
        "start", "done", "start", "done", harms=harm(20.4, lasting=False)
    ),
    "preempted, and done before it was killed": case(
        "start", "done", "start", "done", harms=harm(16.0, lasting=False)
    ),
}
WRONG = {
    "no result": ("lost", case("start", "saved", result=None)),
    "a wrong result": ("lost", case("start", "done", result="left")),
    "never started": ("lost", case(result=None)),
    "two lives at once": ("doubled", case("start", "beside", "start", "done")),
    "started after its success": ("doubled", case("start", "done", "start", "done")),
    "preempted long after its success": (
        "doubled",
        case("start", "done", "start", harms=harm(25.0, lasting=False)),
    ),
    "killed long before its success": ("doubled", case("start", "done", "start", harms=harm(11.0))),
    "told without a reason": ("falsely failed", case("start", "start", "done", told=[15.0])),
    "told before it ever started": ("falsely failed", case("start", "done", told=[5.0], harms=harm(12.0))),
    "told after a lost node": (
        "falsely failed",
        case("start", "start", "done", told=[15.0], harms=harm(12.0, lasting=False)),
    ),
    "told for what was done to an earlier life": (
        "falsely failed",
        case("start", "start", "done", told=[25.0], harms=harm(12.0)),
    ),
    "a verdict that nobody heard of": (
        "falsely failed",
        case("start", "start", "done", verdicts=[verdict(9, 13)]),
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine(name: str) -> None:
    assert judge([FINE[name]]) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong(name: str) -> None:
    kind, wrong = WRONG[name]
    assert [finding.kind for finding in judge([wrong])] == [kind]


def test_a_failure_that_is_told_and_has_a_verdict_counts_once() -> None:
    both = case("start", "start", "done", told=[15.0], verdicts=[verdict(9, 13)])
    assert len(judge([both])) == 1


def test_failures_are_heard(tmp_path: Path) -> None:
    """In the words of the executor, as Snakemake prints them, and nothing that only sounds like them."""
    block = failure.block("j001", None, State("LOST", "3_5"), [tmp_path / "log"], [])
    text = f"Error in rule work:\n    message: {block}\n    jobid: 2\nj002 could not be submitted: no\n"
    text += "j003 failed meanwhile (log); submitting it again.\nJob j004 failed, and so on\n"
    assert told_to_have_failed(text) == ["j001", "j002"]


def test_the_tally_counts_each_kind() -> None:
    tally = Tally()
    cases = [wrong for _, wrong in WRONG.values()]
    tally.add(cases, {"preemption": 3}, judge(cases))
    assert tally.counts() == {"lost": 3, "doubled": 4, "falsely failed": 5}
    assert "doubled: 4" in tally.report() and "3 preemption" in tally.report()


@pytest.fixture
def job(tmp_path: Path) -> tuple[list[str], workload.Job]:
    """The command of a job of three steps, in its folder."""
    jobs = {"j000": workload.Job("low", 3, 0.5, [])}
    workload.write(tmp_path, jobs)
    return ["python3", "-I", "-S", "job.py", "j000", "3", "0.5", "out/j000"], jobs["j000"]


def words(folder: Path) -> list[str]:
    return [record["word"] for record in workload.records(folder, "j000")]


def test_a_job_goes_on_where_it_was(tmp_path: Path, job: tuple[list[str], workload.Job]) -> None:
    command, description = job
    first = subprocess.Popen(command, cwd=tmp_path)
    while "start" not in words(tmp_path):
        assert first.poll() is None
    first.terminate()
    assert first.wait(10) == 4 and words(tmp_path) == ["start", "saved"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    assert words(tmp_path) == ["start", "saved", "start", "done"]
    assert (tmp_path / "out/j000").read_text() == workload.result("j000", description)


def test_two_lives_of_a_job_see_each_other(tmp_path: Path, job: tuple[list[str], workload.Job]) -> None:
    command, _ = job
    first = subprocess.Popen(command, cwd=tmp_path)
    while "start" not in words(tmp_path):
        assert first.poll() is None
    subprocess.run(command, cwd=tmp_path, check=False)
    first.wait(10)
    assert "beside" in words(tmp_path)


def test_jobs_that_share_a_process_record_the_same(
    tmp_path: Path, job: tuple[list[str], workload.Job]
) -> None:
    """One after the other; told to end, the one that runs saves, and what comes after it does not begin."""
    (tmp_path / "Snakefile").unlink()
    jobs = {
        name: workload.Job("low", steps, 0.05, [])
        for name, steps in (("j000", 2), ("j001", 400), ("j002", 2))
    }
    lines = [{"name": n, "steps": j.steps, "pause": j.pause, "out": f"out/{n}"} for n, j in jobs.items()]
    (tmp_path / "lines").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["python3", "-I", "-S", "job.py", "--lines", "lines"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    while not workload.records(tmp_path, "j001"):
        assert running.poll() is None
    running.terminate()
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 4 and [json.loads(line)["exit_code"] for line in said.splitlines()] == [0, 4]
    assert [[r["word"] for r in workload.records(tmp_path, name)] for name in jobs] == [
        ["start", "done"],
        ["start", "saved"],
        [],
    ]
    assert (tmp_path / "out/j000").read_text() == workload.result("j000", jobs["j000"])


@pytest.mark.slow
def test_jobs_of_a_warm_campaign_share_processes(on_fake_slurm: Callable[[str], Any], tmp_path: Path) -> None:
    jobs = {f"j00{n}": workload.Job("low", 1, 0.01, []) for n in range(6)}
    folder = tmp_path / "work"
    workload.write(folder, jobs, warm=True)
    options = ("--submitit-pack", "2", "--default-resources", "runtime=5", "--submitit-pack-wait-s", "0.5")
    on_fake_slurm((folder / "Snakefile").read_text()).succeed(*options, timeout=300)
    assert all((folder / f"out/{n}").read_text() == workload.result(n, job) for n, job in jobs.items())
    pids = [workload.records(folder, name)[0]["pid"] for name in jobs]
    assert len(set(pids)) < 6


@pytest.mark.parametrize(
    ("way", "code", "carried_out"),
    [("fail", 1, False), ("silent", 1, False), ("lose", 1, True), ("hang", 0, True)],
)
def test_clients_go_wrong_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, code: int, carried_out: bool
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    for tool in clients.TOOLS:
        (real / tool).write_text(f"#!/bin/sh\necho {tool} $@ >> {tmp_path}/calls\n")
        (real / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{real}:{os.environ['PATH']}")
    troubled = clients.Clients(tmp_path / "clients")
    troubled.order("squeue", way, 0.1)
    squeue = [str(tmp_path / "clients/bin/squeue"), "--me"]
    assert subprocess.run(squeue, check=False).returncode == code
    assert (tmp_path / "calls").exists() is carried_out
    assert subprocess.run(squeue, check=False).returncode == 0
    assert (tmp_path / "calls").read_text().count("squeue --me") == 1 + carried_out


def test_jobs_are_the_same_for_a_seed() -> None:
    first, second = (workload.make_jobs(random.Random("1.1"), 40) for _ in range(2))
    assert first == second and {job.partition for job in first.values()} == set(workload.PARTITIONS)
    assert all(need in first for job in first.values() for need in job.needs)


def test_starts_that_the_controller_has_ended() -> None:
    """One was requeued, one was forgotten by a controller that was killed as it had started it."""
    log = """
[2026-01-02T03:04:05.000] sched: Allocate JobId=55_0(60) NodeList=node1 #CPUs=1 Partition=cut
[2026-01-02T03:04:15.250] error: Orphan StepId=60.batch reported on node node1
[2026-01-02T03:04:16.000] Requeuing JobId=55_1(61)
[2026-01-02T03:04:17.920] sched/backfill: _start_job: Started JobId=55_0(64) in cut on node1
"""
    found = ended_starts(log)
    assert [task for task, _ in found] == ["55_0", "55_1"] and found[1][1] - found[0][1] == 0.75
