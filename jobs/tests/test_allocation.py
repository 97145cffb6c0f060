"""What runs on a node: claims, lives, signals, verdicts."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snakemake_executor_plugin_submitit import allocation
from snakemake_executor_plugin_submitit.allocation import child, memory, processes, requeue
from snakemake_executor_plugin_submitit.allocation.claim import (
    TOMBSTONE,
    Life,
    claim,
    fence,
    owner_of,
    progress,
)
from snakemake_executor_plugin_submitit.allocation.verdict import read_verdict
from snakemake_executor_plugin_submitit.clusters.slurm import BECOME, FIND_KEEPER, REMEMBER
from snakemake_executor_plugin_submitit.command import STAY

FOLDER = Path(allocation.__file__).parent
HANDLER = "import signal, sys, time; signal.signal(signal.SIGUSR2, lambda *a: sys.exit(4)); print('ready', flush=True);"


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    for name in ("claims", "lives", "beats", "verdicts"):
        (tmp_path / "batch" / name).mkdir(parents=True)
    return tmp_path / "batch"


def contend(batch: Path, owner: str, start: Any, won: Any) -> None:
    start.wait()
    if claim(batch, 0, owner):
        won.put(owner)


def test_one_of_many_gets_the_claim(batch: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, won = context.Event(), context.Queue()
    names = [f"allocation{i}" for i in range(12)] + [TOMBSTONE]
    workers = [context.Process(target=contend, args=(batch, name, start, won)) for name in names]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join()
    assert [won.get(timeout=5)] == [owner_of(batch, 0)] and won.empty()
    assert claim(batch, 0, owner_of(batch, 0) or ""), "a requeued allocation holds its claim still"


def test_lives_without_progress_are_counted(batch: Path) -> None:
    def live(seen: str, waiting: bool = False) -> int:
        life = Life.begin(batch, 0, seen, 0.01)
        if waiting:
            life.note(seen, waiting=True)
        life.end()
        return life.stalled

    assert [live("a"), live("a"), live("b"), live("b", True), live("b"), live("b")] == [0, 1, 0, 1, 1, 2]


def test_newer_life_fences_the_older_and_waits_for_its_silence(batch: Path) -> None:
    older = Life.begin(batch, 0, "", 0.05)
    beat = json.loads((batch / "beats/0").read_text())
    (batch / "beats/0").write_text(json.dumps([0, "another node", *beat[2:]]))
    begun = time.monotonic()
    newer = Life.begin(batch, 0, "", 0.05)
    assert time.monotonic() - begun > 0.15, "it could not know that the older one was dead"
    assert older.fenced() and not newer.fenced() and not older.goes_on() and newer.goes_on()


def test_progress_is_a_change_of_the_files_that_match(tmp_path: Path) -> None:
    before = progress(["save*"], tmp_path)
    (tmp_path / "other").touch()
    assert progress(["save*"], tmp_path) == before
    (tmp_path / "save1").write_text("x")
    assert (
        progress(["save*"], tmp_path) != before and progress([str(tmp_path / "save*")], Path("/")) != before
    )


def run(
    script: str, *, after: float | None = None, signum: int = signal.SIGUSR2, shell: str = STAY, **more: Any
) -> tuple[child.Ending, float]:
    """Run a shell script as an allocation does; a signal to ourselves, as SLURM sends it, after a while."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, child.WATCHED)
    me = threading.main_thread().ident
    assert me is not None
    # To this thread: one of a library's, which does not block the signal, would let it end the process.
    timer = threading.Timer(after or 0, lambda: signal.pthread_kill(me, signum))
    begun = time.monotonic()
    try:
        if after is not None:
            timer.start()
        options: dict[str, Any] = {"pulse": lambda: True, "pulse_s": 5.0, "limits": None} | more
        return child.run(
            ["bash", "-c", shell + script], dict(os.environ), **options
        ), time.monotonic() - begun
    finally:
        timer.join() if after is not None else None
        while signal.sigtimedwait(child.WATCHED, 0) is not None:  # what nobody has taken is not for the tests
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def test_warning_reaches_the_training_and_nobody_else(tmp_path: Path) -> None:
    """In a pipeline with tee, which a signal would kill; the shell waits; the exit code is the training's."""
    script = f"set -euo pipefail; python -c \"{HANDLER} time.sleep(20); print('late')\" | tee {tmp_path}/log"
    ending, seconds = run(script, after=1.0)
    assert ending == child.Ending(4, warned=True, terminated=False, fenced=False) and seconds < 10
    assert (tmp_path / "log").read_text().strip() == "ready"


def test_warning_waits_for_a_handler() -> None:
    """A training that is still importing has none yet."""
    ending, _ = run(f'python -c "import time; time.sleep(2); {HANDLER} time.sleep(20)"', after=0.3)
    assert ending.warned and ending.exit_code == 4


def test_warning_reaches_sessions_of_their_own_and_replaced_shells() -> None:
    """torchrun's workers have their own session; `exec` puts the training in the shell's place."""
    ending, _ = run(f'setsid -w python -c "{HANDLER} time.sleep(20)"', after=1.0)
    assert ending.warned and ending.exit_code == 4
    ending, _ = run(f'exec python -c "{HANDLER} time.sleep(20)"', after=1.0)
    assert ending.warned and ending.exit_code == 4


def test_nobody_handles_the_warning() -> None:
    ending, seconds = run("sleep 1.5; exit 3", after=0.2)
    assert ending == child.Ending(3, warned=False, terminated=False, fenced=False) and seconds > 1.4


def test_termination_is_for_everybody() -> None:
    ending, seconds = run("sleep 20", after=0.3, signum=signal.SIGTERM)
    assert ending.terminated and ending.exit_code == 143 and seconds < 5


@pytest.mark.parametrize("after", [0.001, 0.004, 0.016])
@pytest.mark.parametrize("command", ["sleep 9", "exec sleep 9", "sleep 9 | cat"])
def test_a_command_that_is_about_to_start_is_told_to_end(after: float, command: str) -> None:
    """Its shell may meet the signal before the command is there; then it must not go on to it."""
    ending, seconds = run(f"set -euo pipefail; {command}", after=after, signum=signal.SIGTERM)
    assert ending.terminated and ending.exit_code == 143 and seconds < 5


def test_nothing_is_started_once_the_end_was_told(tmp_path: Path) -> None:
    old = signal.pthread_sigmask(signal.SIG_BLOCK, child.WATCHED)
    try:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        ending, _ = run(f"touch {tmp_path}/started")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    assert ending.terminated and ending.exit_code == 143 and not (tmp_path / "started").exists()


def test_cleaning_up_after_the_signal_is_not_disturbed(tmp_path: Path) -> None:
    """What a command starts once it was told gets no signal of its own."""
    script = f"bash -c 'trap \"sleep 0.5; touch {tmp_path}/saved; exit 4\" TERM; while :; do sleep 0.1; done'"
    ending, _ = run(script, after=0.5, signum=signal.SIGTERM)
    assert ending.exit_code == 4 and (tmp_path / "saved").exists()


def test_fenced_command_is_killed() -> None:
    ending, seconds = run("sleep 20", pulse=lambda: False, pulse_s=0.3)
    assert ending.fenced and seconds < 5


def test_limits_that_slurm_would_keep() -> None:
    limits = child.Limits(limit_s=1.5, warning_s=0.9, kill_wait_s=0.5)
    ending, seconds = run("trap '' TERM; sleep 20 & sleep 20", limits=limits, shell="")
    assert ending.terminated and ending.exit_code == 137 and 1.9 < seconds < 6


def test_descendants(tmp_path: Path) -> None:
    with subprocess.Popen(["bash", "-c", "sleep 5 & (sleep 5; true) & wait"]) as process:
        time.sleep(0.5)
        assert len(processes.descendants(process.pid)) == 4
        processes.send(process.pid, signal.SIGKILL, only_catching=False)


@pytest.fixture
def start(batch: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the allocation program on a task of its own, as SLURM's script does."""

    def start(script: str, job: str = "7", **task: Any) -> subprocess.CompletedProcess[str]:
        whole = {
            "label": "run", "log": "logs/run.log", "argv": ["bash", "-c", script], "env": {"EXTRA": "1"}, "inputs": [],
            "stale": ["out"], "progress": [], "tmpdir": True, "limit_s": None,
        } | task  # fmt: skip
        intent = {
            "cluster": "slurm", "folder": str(tmp_path), "heartbeat_s": 5, "max_requeues": 1, "busy_exit_codes": [3],
            "latency_wait_s": 0.1, "signal_delay_s": 1, "tasks": [whole],
        }  # fmt: skip
        (batch / "intent.json").write_text(json.dumps(intent))
        tools = tmp_path / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "scontrol").write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/scontrol.calls\n'
            f'[ "$1" != show ] || exec cat {tmp_path}/scontrol.shows\n'
        )
        (tools / "scontrol").chmod(0o755)
        env = os.environ | {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": "0", "SLURM_JOB_ID": job}
        env["PATH"] = f"{tools}:{env['PATH']}"
        command = [sys.executable, "-I", "-S", str(FOLDER), str(batch), "0"]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)

    return start


def test_verdict_of_a_success_and_a_failure(start: Callable[..., Any], batch: Path, tmp_path: Path) -> None:
    assert start("echo $EXTRA $TMPDIR; touch out").returncode == 0
    verdict = read_verdict(batch, 0)
    assert verdict is not None and verdict.succeeded and verdict.job_id == "7_0" and verdict.lives == 1
    log = (tmp_path / "logs/run.log").read_text().splitlines()
    assert log[0].startswith("== run: job 7_0 on ") and log[1].startswith("1 /")
    assert (tmp_path / "logs/run.log").stat().st_mode & 0o077 == 0
    start("touch again")
    assert not (tmp_path / "again").exists(), "a task with a verdict is over"
    (batch / "verdicts/0.json").unlink()
    (batch / "claims/0").unlink()
    (tmp_path / "scontrol.shows").write_text("JobId=7 JobState=RUNNING Restarts=0")
    start("kill -SEGV $$")
    verdict = read_verdict(batch, 0)
    assert verdict is not None and verdict.exit_code == 139


def test_foreign_claims_and_tombstones_keep_a_task_from_starting(
    start: Callable[..., Any], batch: Path, tmp_path: Path
) -> None:
    for owner in ("6", TOMBSTONE):
        (batch / "claims/0").write_text(owner)
        assert start("touch out").returncode == 0 and not (tmp_path / "out").exists()
        assert read_verdict(batch, 0) is None


def test_busy_goes_back_to_the_queue(start: Callable[..., Any], batch: Path, tmp_path: Path) -> None:
    for _ in range(3):  # more often than max_requeues: waiting for another is no lack of progress
        assert start("exit 3").returncode == 0 and read_verdict(batch, 0) is None
        assert (batch / "lives/0.back").exists()
    assert (tmp_path / "scontrol.calls").read_text() == "requeue 7_0\n" * 3, "never the whole array"
    (tmp_path / "out").write_text("half")
    start("[ ! -e out ] && touch out")
    verdict = read_verdict(batch, 0)
    assert not (batch / "lives/0.back").exists(), "it has begun"
    assert verdict is not None and verdict.succeeded and verdict.lives == 4, (
        "what an earlier life left is removed"
    )


def test_later_start_finds_updated_files_as_they_were(
    start: Callable[..., Any], batch: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("before\n")
    (tmp_path / "backup").write_text("before\n")
    task = {"updated": {"kept": str(tmp_path / "backup")}}
    start("echo half >> kept; exit 3", **task)
    start("echo whole >> kept", **task)
    assert (tmp_path / "kept").read_text() == "before\nwhole\n" and (tmp_path / "backup").exists()


def test_out_of_memory_kills_are_counted_in_the_jobs_own_cgroups(tmp_path: Path) -> None:
    step = tmp_path / "system.slice/job_5/step_batch/user/task_0"
    step.mkdir(parents=True)
    (tmp_path / "system.slice/memory.events").write_text("oom 9\noom_kill 9\n")
    (tmp_path / "system.slice/job_5/memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    group = "/" + str(step.relative_to(tmp_path))
    assert memory._count(tmp_path, group, "memory.events") == 2
    assert memory._count(tmp_path, "/user.slice", "memory.events") == 0


def test_missing_inputs_are_named(start: Callable[..., Any], batch: Path) -> None:
    start("true", inputs=["not/there"])
    verdict = read_verdict(batch, 0)
    assert verdict is not None and not verdict.succeeded and "not/there" in verdict.reason


LATE_SIGNAL = "( sleep 1; kill -TERM $PPID ) & "  # to the allocation, which is the parent of the command


@pytest.mark.parametrize(
    ("shows", "requeued"),
    [
        ("JobState=COMPLETING Restarts=0", False),  # preempted or cancelled
        ("JobState=PENDING Restarts=1", False),
        ("JobState=RUNNING Restarts=1", False),  # a later start runs elsewhere
        ("JobState=RUNNING Restarts=0", True),  # within a preemption's grace time
    ],
)
def test_the_command_dies_before_we_get_the_signal(
    start: Callable[..., Any], batch: Path, tmp_path: Path, shows: str, requeued: bool
) -> None:
    """A second later it comes. Then it is no failure, whatever the exit code."""
    (tmp_path / "scontrol.shows").write_text(f"JobId=7 {shows} Requeue=1")
    for script in ("exit 1", "kill -TERM $$"):
        start(LATE_SIGNAL + script)
        assert read_verdict(batch, 0) is None
    calls = (tmp_path / "scontrol.calls").read_text()
    assert calls.count("requeue 7_0") == (2 if requeued else 0) and "show job --oneliner 7_0" in calls


def test_killed_by_what_slurm_has_ended(start: Callable[..., Any], batch: Path, tmp_path: Path) -> None:
    """The signal never gets here, but SLURM says that this start is over."""
    (tmp_path / "scontrol.shows").write_text("JobId=7 JobState=COMPLETING Restarts=0")
    assert start("kill -TERM $$").returncode == 143 and read_verdict(batch, 0) is None


def test_fenced_tasks_never_start_again(start: Callable[..., Any], batch: Path, tmp_path: Path) -> None:
    """SLURM may give a task another start that was submitted anew elsewhere meanwhile."""
    older = Life.begin(batch, 0, "", 5)
    older.end()
    fence(batch, 0)
    assert older.fenced() and start("touch out").returncode == 0 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("when", ["in the setup", "just before the allocation", "as the allocation starts"])
def test_signals_that_come_early_are_not_lost(
    start: Callable[..., Any], batch: Path, tmp_path: Path, when: str
) -> None:
    """Neither does the shell die of them that is about to become the allocation. The command is told."""
    start("true")
    (batch / "verdicts/0.json").unlink()
    intent = json.loads((batch / "intent.json").read_text())
    intent["tasks"][0]["argv"] = ["sleep", "20"]
    (batch / "intent.json").write_text(json.dumps(intent))
    (tmp_path / "scontrol.shows").write_text("JobState=COMPLETING Restarts=0")
    kill = {
        "in the setup": "kill -TERM $$",
        "just before the allocation": 'env() { kill -TERM $$; command env "$@"; }',  # as it looks for its keeper
        "as the allocation starts": "( sleep 0.2; kill -TERM $$ ) &",
    }[when]
    program = f"{BECOME} bash -c 'sleep 0.5; exec {sys.executable} -I -S {FOLDER} {batch} 0'"
    lines = [*REMEMBER, kill, FIND_KEEPER, program]
    env = os.environ | {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    env["PATH"] = f"{tmp_path}/tools:{env['PATH']}"
    begun = time.monotonic()
    done = subprocess.run(["bash", "-c", "\n".join(lines)], env=env, timeout=30, check=False)
    assert done.returncode == 143 and time.monotonic() - begun < 15 and read_verdict(batch, 0) is None
    assert "start 2" in (tmp_path / "logs/run.log").read_text(), "it was started, and told to end"


def test_a_signal_while_the_shell_becomes_the_allocation(tmp_path: Path) -> None:
    """The shell would catch and forget it: a job that was cancelled in that moment would go on to success."""
    for name, code in (("TERM", -signal.SIGTERM), ("USR2", 0)):
        lines = [*REMEMBER, FIND_KEEPER, f"{BECOME} $(kill -{name} $$) touch {tmp_path}/{name}"]
        done = subprocess.run(["bash", "-c", "\n".join(lines)], timeout=30, check=False)
        assert done.returncode == code and (tmp_path / name).exists() is (code == 0)


def test_ids_of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array's last task has the array's job id. Only it is asked about by a name that means the array, too."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    for job, asked in (("9", "9"), ("7", "7_3")):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        assert (requeue.task_id(), requeue.look_up_id()) == ("7_3", asked)
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID")
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    assert (requeue.task_id(), requeue.look_up_id()) == ("7", "7")


# As torchrun: its process has a session of its own, is told to end by it too, and whatever its status, torchrun's is 1.
AS_TORCHRUN = """
import signal, subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: worker.terminate())
sys.exit(1 if worker.wait() else 0)
"""
RANK = """
import os, pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path("saved").write_text("by a signal")
    sys.exit(4)
for number in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, save)
pathlib.Path("ready").touch()
time.sleep(20)
"""


@pytest.mark.parametrize(
    ("told", "shows", "requeued"),
    [
        (
            "TERM",
            "JobState=COMPLETING Restarts=0",
            False,
        ),  # a preemption: SLURM requeues it, or we submit it again
        ("TERM", "JobState=RUNNING Restarts=0", True),  # within its grace
        ("USR2", "JobState=RUNNING Restarts=0", True),
    ],
)
def test_saved_under_torchrun(
    start: Callable[..., Any], batch: Path, tmp_path: Path, told: str, shows: str, requeued: bool
) -> None:
    """The rank ends with 4 and torchrun with 1: the signal says what happened, not the exit code."""
    (tmp_path / "scontrol.shows").write_text(f"JobId=7 {shows}")
    (tmp_path / "torchrun.py").write_text(AS_TORCHRUN)
    (tmp_path / "rank.py").write_text(RANK)
    tell = f"( until [ -e ready ]; do sleep 0.1; done; kill -{told} $PPID ) & "
    start(STAY + tell + f'{sys.executable} torchrun.py "$(cat rank.py)"')
    assert (tmp_path / "saved").exists() and read_verdict(batch, 0) is None
    assert ("requeue 7_0" in (tmp_path / "scontrol.calls").read_text()) is requeued


@pytest.mark.parametrize("code", [3, 5])
def test_other_codes_under_torchrun_are_lost(
    start: Callable[..., Any], batch: Path, tmp_path: Path, code: int
) -> None:
    """Busy or a full disk in a rank is a failure with 1, unless what starts torchrun passes the code on."""
    (tmp_path / "torchrun.py").write_text(AS_TORCHRUN)
    command = f'{sys.executable} torchrun.py "import sys; sys.exit({code})"'
    start(command)
    verdict = read_verdict(batch, 0)
    assert verdict is not None and verdict.exit_code == 1
    (batch / "verdicts/0.json").unlink()
    start(f"{command} || exit {code}")
    verdict = read_verdict(batch, 0)
    assert (verdict is None) if code == 3 else (verdict is not None and verdict.exit_code == 5)
