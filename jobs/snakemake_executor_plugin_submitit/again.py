"""Submit a task again if SLURM ended it without requeueing it; that is not a failure.

So it is where PreemptMode is CANCEL, and where a node fails under a job that may not be requeued. The
task gets a place in a new batch. What is known of its earlier starts goes with it, so that starts in a
row without progress are bounded as they are for requeued tasks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from . import command
from .allocation.claim import FIRST, TOMBSTONE, Life, progress, stalled_after
from .journal import Batch
from .tickets import Ticket

# How SLURM ends a start that is to come back; the queue knows nothing of it any more.
ENDED_BY_SLURM = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL")


def why_not(ticket: Ticket, most: int) -> str:
    """Return the reason for which the task is not to be submitted again, empty if it is."""
    stalled = stalled_after(earlier(ticket.batch, ticket.index), seen(ticket.batch, ticket.index))
    if stalled <= most:
        return ""
    return f"ended by SLURM or requeued {stalled} times in a row without getting further"


def earlier(batch: Batch, index: int) -> dict[str, Any]:
    """Return what the task's newest start noted; a start that was ended before it could counts too."""
    record = Life.record(batch.path, index) or {**FIRST, "progress": seen(batch, index)}
    record["number"] = record.pop("was", record["number"])  # if it is fenced already
    unclaimed = batch.claimed_by(index) in (None, TOMBSTONE)
    waited = batch.pack is not None and unclaimed and batch.has_packs_at_work()  # on the list of its pack
    if record.pop("carried", False):
        if not waited:  # it was ended before it could note itself, after others
            record["stalled"] = stalled_after(record, seen(batch, index))
            record |= {"number": record["number"] + 1, "progress": seen(batch, index), "waiting": False}
    elif not batch.files.life(index).exists():
        record["waiting"] = waited
    return record


def seen(batch: Batch, index: int) -> str:
    """Return how far the task has got, as its allocations see it."""
    return progress(batch.tasks[index].progress, Path(batch.folder))


def prepare(ticket: Ticket, batch: Batch) -> None:
    """Make ready on disk that `batch`, which is yet to be submitted, takes the ticket's task next.

    The old task is fenced before anything else: should SLURM start it once more, it ends at once. The
    new one waits until the old is silent, whose sign of life it finds in the place of its own.
    """
    old, record = ticket.batch, earlier(ticket.batch, ticket.index)
    old.end(ticket.index)
    batch.files.create()
    batch.go_on(len(batch.tasks), record, old.files.beat(ticket.index))
    ticket.job.register(batch.token)


def move(ticket: Ticket, batch: Batch) -> None:
    """Let the ticket stand for a copy of its task in `batch`, which is prepared. A command's file goes with it."""
    argv = command.take_along(ticket.task.argv, batch.files.command(ticket.task.key))
    batch.tasks.append(replace(ticket.task, argv=argv))
    ticket.batch, ticket.index = batch, len(batch.tasks) - 1
    ticket.forget_state()
