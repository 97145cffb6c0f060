"""Decide what follows a start of a task, from facts alone, so that each case can be tested as a row of a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

NEAR_LIMIT_S = 5


class Action(Enum):
    """What the allocation does next."""

    CONCLUDE = auto()  # write the verdict: the task is over
    RUN_AGAIN = auto()  # start the command again here, after a pause
    REQUEUE = auto()  # hand the task back to the queue, without a verdict
    LEAVE = auto()  # end without a verdict: SLURM knows what became of this start
    ASK = auto()  # find out whether SLURM still runs this start, and decide again


@dataclass(frozen=True)
class Facts:
    """What is known once the command has ended."""

    exit_code: int  # 128 + n where signal n ended it
    warned: bool  # SIGUSR2 came and a process handled it
    terminated: bool  # SIGTERM came
    fenced: bool  # a newer start of the task has taken over
    busy: bool  # the exit code says that another process does this work
    elapsed_s: float  # since this start of the task
    limit_s: float | None
    on_slurm: bool  # else this machine alone
    several_nodes: bool
    slurm_runs_it: bool | None = None  # None until SLURM was asked

    @property
    def at_limit(self) -> bool:
        """Return whether the time limit is reached, or nearly."""
        return self.limit_s is not None and self.elapsed_s > self.limit_s - NEAR_LIMIT_S


@dataclass(frozen=True)
class Decision:
    """The next action, and why."""

    action: Action
    reason: str = ""  # in words, for the verdict or the log


def decide(facts: Facts) -> Decision:
    """Return the next action. It is ASK only while `slurm_runs_it` is None."""
    if facts.fenced:
        return Decision(Action.LEAVE, "a newer start of this job has taken over")
    if facts.exit_code == 0:
        return Decision(Action.CONCLUDE)
    if facts.terminated and not (facts.warned and facts.at_limit):
        return _after_termination(facts)
    if facts.busy and not (facts.on_slurm or facts.terminated):
        return Decision(Action.RUN_AGAIN)  # this machine has no queue to go back to
    if facts.busy or facts.warned:
        return Decision(Action.REQUEUE)
    if facts.on_slurm and facts.several_nodes:
        return _after_failure_on_several_nodes(facts)
    return Decision(Action.CONCLUDE)


def _after_termination(facts: Facts) -> Decision:
    """Decide after SIGTERM, which a preemption, a cancellation, a shutdown or a local time limit sends."""
    if not facts.on_slurm:
        if facts.at_limit:
            return Decision(Action.CONCLUDE, f"reached its time limit of {facts.limit_s:.0f} s")
        return Decision(Action.LEAVE)
    if facts.slurm_runs_it is None:
        return Decision(Action.ASK)
    # Within a preemption's grace time SLURM takes the end of a start for the end of the job.
    return Decision(Action.REQUEUE if facts.slurm_runs_it else Action.LEAVE)


def _after_failure_on_several_nodes(facts: Facts) -> Decision:
    """Decide whether the command failed by itself, or because another node was lost, which SLURM requeues."""
    if facts.slurm_runs_it is None:
        return Decision(Action.ASK)
    if facts.slurm_runs_it:
        return Decision(Action.CONCLUDE)
    return Decision(Action.LEAVE, "SLURM has ended this start; another node was lost")
