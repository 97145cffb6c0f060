"""Decide what follows a start of a task, from facts alone, so that each case can be tested as a row of a table."""

from __future__ import annotations

from enum import Enum, auto

from .record import dataclass

NEAR_LIMIT_S = 5


class Action(Enum):
    """What the allocation does next."""

    CONCLUDE = auto()  # write the verdict: the task is over
    RUN_AGAIN = auto()  # start the command again here, after a pause
    REQUEUE = auto()  # hand the task back to the queue, without a verdict
    LEAVE = auto()  # end without a verdict: SLURM knows what became of this start
    ASK = auto()  # find out whether SLURM still runs this start, and decide again
    START_ANEW = auto()  # hand it back to its pack, which starts it again at once: a neighbour was the cause
    GIVE_BACK = auto()  # write that it was interrupted: the main process submits the task again


class Slurm(Enum):
    """What SLURM says about this start."""

    UNASKED = auto()
    RUNS = auto()  # it runs still: its end is its own doing
    ENDED = auto()  # SLURM has ended it, or a later start has taken its place
    SILENT = auto()  # nobody answered


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
    slurm: Slurm = Slurm.UNASKED
    packed: bool = False  # it is a member of a pack, whose allocation asks SLURM and requeues for all
    timed_out: bool = False  # it reached the time limit of its own, which the pack keeps
    too_large: bool = False  # it was ended for taking more than its share of memory
    hit_by_neighbour: bool = False  # a kill or a fault in what it shares, that was not of its doing

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
    """Return the next action. It is ASK only while SLURM was not asked."""
    if facts.fenced:
        return Decision(Action.LEAVE, "a newer start of this job has taken over")
    if facts.exit_code == 0:
        return Decision(Action.CONCLUDE)
    if facts.packed:
        return _in_pack(facts)
    if facts.terminated and not (facts.warned and facts.at_limit):
        return _after_termination(facts)
    if facts.busy and not (facts.on_slurm or facts.terminated):
        return Decision(Action.RUN_AGAIN)  # this machine has no queue to go back to
    if facts.busy or facts.warned:
        return Decision(Action.REQUEUE)
    if facts.on_slurm and (facts.several_nodes or facts.exit_code > 128):
        return _after_doubtful_failure(facts)
    return Decision(Action.CONCLUDE)


def _in_pack(facts: Facts) -> Decision:
    """Decide for a member of a pack. REQUEUE hands it back to the pack, which goes back to the queue once for all."""
    if facts.too_large:
        return Decision(Action.CONCLUDE, "used more than its share of the memory of its pack")
    if facts.timed_out and not facts.warned:
        return Decision(Action.CONCLUDE, f"reached its time limit of {facts.limit_s:.0f} s")
    if facts.terminated or facts.busy or facts.warned:
        return Decision(Action.REQUEUE)
    if facts.hit_by_neighbour:
        return Decision(Action.START_ANEW)
    return _after_doubtful_failure(facts) if facts.exit_code > 128 else Decision(Action.CONCLUDE)


def _after_termination(facts: Facts) -> Decision:
    """Decide after SIGTERM, which a preemption, a cancellation, a shutdown or a local time limit sends."""
    if not facts.on_slurm:
        if facts.at_limit:
            return Decision(Action.CONCLUDE, f"reached its time limit of {facts.limit_s:.0f} s")
        return Decision(Action.LEAVE)
    if facts.slurm is Slurm.UNASKED:
        return Decision(Action.ASK)
    if facts.slurm is Slurm.SILENT:
        return Decision(Action.GIVE_BACK, "told to stop, and SLURM did not say why")
    # Within a preemption's grace time SLURM takes the end of a start for the end of the job.
    return Decision(Action.REQUEUE if facts.slurm is Slurm.RUNS else Action.LEAVE)


def _after_doubtful_failure(facts: Facts) -> Decision:
    """Decide whether the command failed by itself, or because SLURM has ended this start.

    SLURM signals a job's processes one after the other, so that a command may be dead of a signal that
    this process does not get any more; and a command on several nodes fails when another is lost.
    """
    if facts.slurm is Slurm.UNASKED:
        return Decision(Action.ASK)
    if facts.slurm is Slurm.RUNS:
        return Decision(Action.CONCLUDE)
    if facts.slurm is Slurm.SILENT and not facts.several_nodes:
        return Decision(Action.CONCLUDE)  # SLURM ends nothing while it is away
    why = "; another node was lost" if facts.several_nodes else ""
    return Decision(Action.LEAVE, f"SLURM has ended this start{why}")
