"""Record what became of a task, as its allocation saw it: one file, written once, read by the main process."""

from __future__ import annotations

from pathlib import Path

from .files import FULL_DISK_S, patiently, read_json, write_json
from .folder import BatchFolder
from .record import asdict, dataclass


@dataclass(frozen=True)
class Verdict:
    """The end of a task. A requeued or cancelled allocation writes none: SLURM knows better."""

    exit_code: int  # the command's; 128 + n where signal n ended it; -1 where it never started
    job_id: str
    node: str
    started: float  # when the last life started, in seconds since the epoch
    ended: float
    lives: int  # how often it was started
    peak_rss_kb: int  # memory of its largest process
    out_of_memory: bool  # the kernel's cgroup counted an out-of-memory kill
    reason: str = ""  # in words, where the exit code does not say it
    interrupted: bool = False  # by SLURM, which would not take it back: to be submitted again

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0


def write_verdict(batch: Path, index: int, verdict: Verdict, patience_s: float = FULL_DISK_S) -> None:
    """Write the task's verdict, whole or not at all. A full disk is waited for so long."""
    patiently(lambda: write_json(BatchFolder(batch).verdict(index), asdict(verdict)), patience_s)


def read_verdict(batch: Path, index: int) -> Verdict | None:
    """Return the task's verdict, None while there is none."""
    record = read_json(BatchFolder(batch).verdict(index))
    return None if record is None else Verdict(**record)
