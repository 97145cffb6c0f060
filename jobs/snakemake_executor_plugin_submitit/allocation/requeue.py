"""Hand the task back to the queue, and find out whether that is still to be done."""

from __future__ import annotations

import os
import sys
import time

from .clients import NoAnswer, call

LOCAL_REQUEUE = 144  # the exit code on which submitit's local controller starts a task again


def still_wanted() -> bool:
    """Return whether SLURM still runs this job, so that its end is the job's own doing.

    A job that is preempted with a grace time gets SIGTERM at once and is running still; if it ends
    within the grace, SLURM takes that for its end. A cancelled job is no longer running, nor is one
    that has lost a node.
    """
    job = os.environ["SLURM_JOB_ID"]
    try:
        return call("squeue", "--noheader", "-o", "%T", "-j", job, timeout=30).strip() == "RUNNING"
    except NoAnswer:
        return False


def requeue(cluster: str, patience_s: float = 300.0) -> bool:
    """Ask SLURM to start the task again; return whether it will. On a local cluster the exit code asks."""
    if cluster != "slurm":
        return True
    job, give_up, pause = os.environ["SLURM_JOB_ID"], time.monotonic() + patience_s, 2.0
    while True:
        try:
            call("scontrol", "requeue", job, timeout=60)
            return True
        except NoAnswer as trouble:
            print(f"scontrol requeue {job}: {trouble}", file=sys.stderr, flush=True)
        if time.monotonic() + pause > give_up:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 30.0)
