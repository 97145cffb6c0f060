"""Hand the task back to the queue, and find out what SLURM makes of this start."""

from __future__ import annotations

import os
import time

from .clients import NoAnswer, call
from .decision import Slurm
from .files import write_line

LOCAL_REQUEUE = 144  # the exit code on which submitit's local controller starts a task again
# In these states a start is still its job's: what ends it now is its own doing.
OURS = ("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "CONFIGURING")
UNKNOWN_JOB = "invalid job id"


def task_id() -> str:
    """Return the id that means this task alone.

    An array's last task has the array's own job id, by which SLURM means all tasks of the array.
    """
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else os.environ["SLURM_JOB_ID"]


def look_up_id() -> str:
    """Return the id to ask about: ARRAY_TASK makes SLURM send the whole array, so only where it has to be."""
    job = os.environ["SLURM_JOB_ID"]
    return task_id() if job == os.environ.get("SLURM_ARRAY_JOB_ID") else job


def what_slurm_says(patience_s: float = 120.0) -> Slurm:
    """Return whether SLURM still runs this start, so that its end is the job's own doing.

    A job that is preempted with a grace time gets SIGTERM at once and is running still; if it ends
    within the grace, SLURM takes that for its end. A cancelled or preempted job is no longer running,
    nor is one that has lost a node; such a job may even run again elsewhere, as a later start.
    """
    give_up, pause = time.monotonic() + patience_s, 1.0
    while True:
        try:
            return read_answer(call("scontrol", "show", "job", "--oneliner", look_up_id(), timeout=30))
        except NoAnswer as trouble:
            if UNKNOWN_JOB in str(trouble).lower():
                return Slurm.ENDED
        if time.monotonic() + pause > give_up:
            return Slurm.SILENT
        time.sleep(pause)
        pause = min(2 * pause, 15.0)


def read_answer(shown: str) -> Slurm:
    """Read `scontrol show job`: the state, and whether it is this start that the state is about."""
    fields = dict(word.partition("=")[::2] for word in reversed(shown.split()))
    if "JobState" not in fields:
        return Slurm.SILENT
    starts_before = os.environ.get("SLURM_RESTART_COUNT") or "0"
    same = fields.get("Restarts", starts_before) == starts_before
    return Slurm.RUNS if same and fields["JobState"] in OURS else Slurm.ENDED


def requeue(cluster: str, patience_s: float = 300.0) -> bool:
    """Ask SLURM to start the task again; return whether it will. On a local cluster the exit code asks.

    A refusal is no trouble where SLURM has ended this start itself meanwhile, by a preemption for example.
    """
    if cluster != "slurm":
        return True
    give_up, pause = time.monotonic() + patience_s, 2.0
    while True:
        try:
            call("scontrol", "requeue", task_id(), timeout=60)
            return True
        except NoAnswer as trouble:
            write_line(f"scontrol requeue {task_id()}: {trouble}", to=2)
        if what_slurm_says(patience_s=0) is Slurm.ENDED:
            return True
        if time.monotonic() + pause > give_up:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 30.0)
