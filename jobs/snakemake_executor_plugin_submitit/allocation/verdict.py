"""What became of a task, as its allocation saw it: one file, written once, read by the main process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from .files import read_json, write_json


@dataclass(frozen=True)
class Verdict:
    """The end of a task. A requeued or cancelled allocation writes none: SLURM knows better."""

    exit_code: int  # of the command; 128 + n where signal n ended it; -1 where it never started
    job_id: str
    node: str
    started: float  # seconds since the epoch, of the last life
    ended: float
    lives: int  # how often it was started
    peak_rss_kb: int  # of its largest process
    out_of_memory: bool  # the kernel's cgroup counted an out-of-memory kill
    reason: str = ""  # in words, where the exit code does not say it

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0


def verdict_path(batch: Path, index: int) -> Path:
    return batch / "verdicts" / f"{index}.json"


def write_verdict(batch: Path, index: int, verdict: Verdict) -> None:
    write_json(verdict_path(batch, index), asdict(verdict))


def read_verdict(batch: Path, index: int) -> Verdict | None:
    """The task's verdict, None while there is none."""
    record = read_json(verdict_path(batch, index))
    return None if record is None else Verdict(**record)
