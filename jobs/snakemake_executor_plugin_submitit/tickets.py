"""Follow a submitted job in the main process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .clusters.base import State
from .journal import Batch, Task

LAUNCH_FAILED = "launch failed requeued held"  # a node was lost while it started the job: SLURM holds it
MOST_RELEASES = 3  # of a job whose launch fails; after that somebody should look at the nodes
MOST_UNBEGUN = 2  # starts of a task in which nothing of it ran, after which it is submitted again


@dataclass(eq=False)
class Ticket:
    """A Snakemake job, the task that it became, and what is known of it."""

    job: Any
    batch: Batch
    index: int
    logs: list[Path]  # the rule's own and the allocation's, where its output is looked for
    job_id: str = ""  # the task's, as far as the cluster has told it
    state: State | None = None
    absent_polls: int = 0  # answers in a row in which the cluster did not know it
    ended_since: float | None = None  # when it was first seen over without a verdict
    failure: str | None = None  # the block, once it has failed
    succeeded: bool = False
    displaced: bool = False  # SLURM has ended it and does not give it back: it is to be submitted again
    hurried_at: float = -math.inf  # when it was last told to start at once
    releases: int = 0  # how often it was let go after a node had failed to start it
    unbegun: int = 0  # how often its allocation ended before the task began

    @property
    def task(self) -> Task:
        return self.batch.tasks[self.index]

    @property
    def array(self) -> str:
        """What to cancel: the task's whole array, for it is all ours, or a job of another kind."""
        return self.job_id.partition("_")[0]

    @property
    def id(self) -> tuple[str, int]:
        return self.batch.token, self.index

    @property
    def boot(self) -> list[Path]:
        """The files in which SLURM itself wrote about the task, if there are any."""
        # A pack's file is about all its members: it tells nothing of one.
        return [self.batch.files.slurm_output(self.job_id)] if self.batch.pack is None else []

    @property
    def over(self) -> bool:
        """Whether the job has succeeded or failed."""
        return self.succeeded or self.failure is not None

    @property
    def releasable(self) -> bool:
        """Whether SLURM holds the job because a node failed to start it, and that has not happened too often."""
        held = self.state is not None and self.state.reason.startswith(LAUNCH_FAILED)
        return held and self.releases < MOST_RELEASES

    def forget_state(self) -> None:
        """Know nothing of the cluster's any more, for the task is a new one."""
        self.job_id, self.state, self.absent_polls, self.ended_since = "", None, 0, None
        self.displaced = False
