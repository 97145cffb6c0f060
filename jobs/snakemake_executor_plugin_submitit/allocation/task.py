"""Run one task of a batch in this allocation, and leave a verdict."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from . import child
from .claim import Life, claim, progress
from .files import read_json
from .memory import oom_kills
from .requeue import LOCAL_REQUEUE, requeue, still_wanted
from .verdict import Verdict, verdict_path, write_verdict

NEVER_STARTED = -1
BUSY_PAUSE_S = 20


def main(batch: Path, index: int) -> int:
    child.block_signals()
    intent = read_json(batch / "intent.json")
    if intent is None:
        print(f"no task description in {batch}", file=sys.stderr)
        return 1
    task, cluster = intent["tasks"][index], intent["cluster"]
    owner, job_id = allocation_id(cluster)
    if not claim(batch, index, owner) or verdict_path(batch, index).exists():
        print(f"task {index} of {batch.name} belongs to another allocation or is over")
        return 0
    os.chdir(intent["folder"])
    if cluster != "debug":
        open_log(Path(task["log"]))
    return run_task(batch, index, intent, task, job_id)


def allocation_id(cluster: str) -> tuple[str, str]:
    """The allocation's name in claims (the whole array's), and the task's job id for people."""
    if cluster == "slurm":
        array = os.environ["SLURM_ARRAY_JOB_ID"]
        return array, f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    local = os.environ.get("SUBMITIT_LOCAL_JOB_ID", str(os.getppid()))
    return f"{cluster}-{local}", local


def open_log(path: Path) -> None:
    """Send this process's output and its children's to the task's own log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def run_task(batch: Path, index: int, intent: dict[str, Any], task: dict[str, Any], job_id: str) -> int:
    started, kills = time.time(), oom_kills()
    folder, slurm = Path(intent["folder"]), intent["cluster"] == "slurm"
    life = Life.begin(batch, index, progress(task["progress"], folder), intent["heartbeat_s"])
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    print(
        f"== {task['label']}: job {job_id} on {socket.gethostname()}, start {life.number + 1}, {now}",
        flush=True,
    )

    def conclude(exit_code: int, reason: str = "") -> int:
        if life.fenced():
            return 1
        write_verdict(
            batch,
            index,
            Verdict(
                exit_code=exit_code,
                job_id=job_id,
                node=os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
                started=started,
                ended=time.time(),
                lives=life.number + 1,
                peak_rss_kb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
                out_of_memory=oom_kills() > kills,
                reason=reason,
            ),
        )
        return 0

    try:
        if life.stalled > intent["max_requeues"]:
            return conclude(NEVER_STARTED, f"requeued {life.stalled} times in a row without getting further")
        if missing := absent_after(task["inputs"], intent["latency_wait_s"]):
            return conclude(NEVER_STARTED, f"input files missing on this node: {', '.join(missing)}")
        if life.number:
            remove(task["stale"])
        while True:
            ending = child.run(
                task["argv"],
                os.environ | task["env"] | temporary_folder(task),
                pulse=life.goes_on,
                pulse_s=intent["heartbeat_s"],
                limits=None if slurm else child.Limits(task["limit_s"], intent["signal_delay_s"]),
            )
            busy = ending.exit_code in intent["busy_exit_codes"]
            if slurm or not busy or ending.terminated:
                break
            time.sleep(BUSY_PAUSE_S)  # this machine has no queue to go back to
        if ending.fenced:
            print("== a newer start of this job has taken over", flush=True)
            return 1
        at_limit = task["limit_s"] is not None and time.time() - started > task["limit_s"] - 5
        if ending.exit_code == 0:
            return conclude(0)
        if ending.terminated and not (ending.warned and at_limit):
            if at_limit and not slurm:
                return conclude(ending.exit_code, f"reached its time limit of {task['limit_s']:.0f} s")
            if not slurm or not still_wanted():
                return ending.exit_code  # preempted, cancelled or shut down: SLURM knows, and requeues
            ending.warned = True
        if busy or ending.warned:
            if busy:
                life.note(progress(task["progress"], folder), waiting=True)
            life.end()
            print("== back to the queue", flush=True)
            if requeue(intent["cluster"]):
                return 0 if slurm else LOCAL_REQUEUE
            return conclude(ending.exit_code, "interrupted, and SLURM refused to requeue it")
        if slurm and int(os.environ.get("SLURM_JOB_NUM_NODES", 1)) > 1 and not still_wanted():
            print("== SLURM has ended this start; another node was lost", flush=True)
            return ending.exit_code  # which is no failure of the command: SLURM requeues
        return conclude(ending.exit_code)
    finally:
        life.end()


def temporary_folder(task: dict[str, Any]) -> dict[str, str]:
    """Where the command may keep temporary files, as Snakemake's shell tells it."""
    where = tempfile.gettempdir()
    return dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), where) if task["tmpdir"] else {}


def absent_after(paths: list[str], seconds: float) -> list[str]:
    """The inputs that are not there even after the time that the file system may lag."""
    end = time.monotonic() + seconds
    while (absent := [p for p in paths if not os.path.lexists(p)]) and time.monotonic() < end:
        time.sleep(0.5)
    return absent


def remove(paths: list[str]) -> None:
    """Delete what an earlier life left of the outputs, as Snakemake does before it starts a job."""
    for path in map(Path, paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
