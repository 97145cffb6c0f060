"""The interface of a cluster: what the executor needs of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import allocation
from ..allocation.clients import NoAnswer as NoAnswer  # what a cluster raises
from ..journal import Batch
from .limits import Allowance

PROGRAM = Path(allocation.__file__).with_name("__main__.py")  # what an allocation starts, with `python -I -S`

# In every other state a job may still run, or run again: also in one that only a later version of SLURM has. An end
# that is not known is seen once squeue has forgotten the job. LOST is our own word.
ENDS = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "LOST", "NODE_FAIL", "OUT_OF_MEMORY",
     "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT")
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """What the cluster says about one task."""

    name: str  # SLURM's word, such as PENDING or TIMEOUT
    job_id: str
    node: str = ""
    reason: str = ""
    elapsed: str = ""
    peak_memory: str = ""

    @property
    def live(self) -> bool:
        """Whether the task may still run, or run again."""
        return self.name not in ENDS


TaskId = tuple[str, int]  # (token of its batch, index)
States = Mapping[TaskId, State]


class Refused(Exception):
    """A submission failed.

    final     trying again is no use
    too_many  an array of fewer tasks may pass
    full      a limit on jobs in the queue, `limit` by SLURM's name, which passes as jobs end
    vague     as far as one can tell: the message does not name the limit
    certain   nothing went in; else the answer may have been lost
    """

    def __init__(
        self,
        message: str,
        *,
        final: bool = False,
        too_many: bool = False,
        full: bool = False,
        vague: bool = False,
        certain: bool = False,
        limit: str = "",
    ) -> None:
        super().__init__(message)
        self.final, self.too_many, self.full, self.vague = final, too_many, full, vague
        self.certain, self.limit = certain, limit


class Cluster(ABC):
    """Submits tasks of a batch and says what becomes of them. Used by one thread at a time."""

    cheap = False  # whether asking costs nobody anything, so that it may happen all the time

    @abstractmethod
    def largest(self) -> int:
        """Return how many tasks one submission may have. Raises NoAnswer."""

    @abstractmethod
    def submit(self, batch: Batch, first: int, count: int) -> str:
        """Submit tasks first ... first + count - 1 and return the job id. Raises Refused."""

    def allowance(self, batch: Batch, limit: str) -> Allowance | None:
        """Return how many jobs like the batch's the named limit allows, None if that cannot be known."""
        return None

    def anything_queued(self) -> bool:
        """Return whether this user has any job in the queue. Raises NoAnswer."""
        return True

    def objections(self, batch: Batch) -> list[str]:
        """List what the batch asks for and its partition does not have."""
        return []

    def allows(self, batch: Batch, reason: str) -> str:
        """Tell what the cluster allows of that for which jobs of the batch wait; empty if that is not known."""
        return ""

    @abstractmethod
    def find(self, batch: Batch, first: int) -> str | None:
        """Return the job id of a submission whose answer was lost, None if it did not go through. Raises NoAnswer."""

    @abstractmethod
    def states(self, batches: Iterable[Batch]) -> States:
        """Return the state of each task that the cluster knows. Raises NoAnswer."""

    @abstractmethod
    def ended(self, tasks: Mapping[TaskId, str]) -> States:
        """Return how tasks ended that `states` no longer knows, given by job id. Raises NoAnswer."""

    @abstractmethod
    def cancel(self, job_ids: Iterable[str]) -> None:
        """Cancel jobs (whole arrays, or tasks by their id)."""

    def cancel_waiting(self, job_ids: Iterable[str]) -> None:  # noqa: B027 (few clusters have packs)
        """Cancel what of these arrays has not started."""

    def task_id(self, job_id: str, offset: int) -> str:
        """Return the job id of one task of a submission."""
        return ""

    def hurry(self, job_ids: Iterable[str]) -> None:  # noqa: B027 (few clusters make them wait)
        """Let requeued jobs start at once."""

    def release(self, job_ids: Iterable[str]) -> None:  # noqa: B027 (few clusters hold them)
        """Let go jobs that the cluster holds."""
