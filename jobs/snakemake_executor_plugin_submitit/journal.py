"""A record of submitted jobs, from which a new main process takes over.

There is one folder for each batch, named by a random token that SLURM gets as the jobs' comment;
`allocation/folder.py` lists the files in it.

Snakemake marks a job's outputs as incomplete with the token as external job id, and removes the mark
once the job's metadata is written. So a mark with a token says: this job, submitted in this batch, has
not been dealt with yet, even if its output exists already.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .allocation import claim
from .allocation.files import read_json, write_intent, write_json
from .allocation.folder import BatchFolder, ExecutorFolder
from .allocation.verdict import Verdict, read_verdict


@dataclass
class Task:
    """One job of a batch, as its allocation needs to know it."""

    key: str
    digest: str
    label: str
    log: str  # relative to the working directory
    argv: list[str]
    env: dict[str, str]
    inputs: list[str]
    stale: list[str]
    progress: list[str]
    tmpdir: bool
    nested: bool
    limit_s: float | None
    updated: dict[str, str] = field(default_factory=dict)  # output that the job updates -> its backup
    pack_line: str = ""  # for the command that runs several members of a pack, if the rule has one
    pack_command: str = ""
    request: str = ""  # a digest of what it asked of the cluster; empty in journals of earlier versions


@dataclass
class Batch:
    """Jobs with equal resources that are submitted together, as one array or a few."""

    root: Path  # the folder of all batches
    label: str
    cluster: str
    parameters: dict[str, Any]
    rules: dict[str, Any]  # of the allocation: heartbeat, requeues, latency ...
    folder: str  # the working directory
    pack: dict[str, Any] | None = None  # how tasks share allocations (packs.py), None where each has its own
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    created: float = field(default_factory=time.time)
    tasks: list[Task] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.root / self.token

    @property
    def files(self) -> BatchFolder:
        return BatchFolder(self.path)

    def write_intent(self) -> None:
        """Write the batch down. What SLURM may start from here on finds its description."""
        self.files.create()
        record = {name: value for name, value in vars(self).items() if name not in ("root", "tasks", "rules")}
        write_intent(self.files.intent, record | self.rules, [vars(task) for task in self.tasks])

    @classmethod
    def read(cls, path: Path) -> Batch | None:
        """Return the batch in this folder, None if its intent was never written."""
        record = read_json(BatchFolder(path).intent)
        if record is None:
            return None
        tasks = [Task(**task) for task in record.pop("tasks")]
        own = {
            name: record.pop(name)
            for name in ("label", "cluster", "parameters", "folder", "token", "created")
        }
        own["pack"] = record.pop("pack", None)  # earlier versions knew none
        return cls(root=path.parent, rules=record, tasks=tasks, **own)

    @property
    def tasks_per_allocation(self) -> int:
        """How many tasks an allocation is asked for."""
        return self.pack["slots"] * self.pack["rounds"] if self.pack is not None else 1

    def add_array(self, job_id: str, first: int, members: int | None = None) -> None:
        """Record an array that sbatch has returned, and which task of the batch is its first.

        Where its allocations are packs, `members` is how many tasks they share.
        """
        with self.files.arrays.open("a") as file:
            print(job_id, first, *([] if members is None else [members]), file=file)

    def packs(self) -> dict[str, range]:
        """Return array job id -> the tasks that its allocations share."""
        rows = self._array_rows()
        return {row[0]: range(int(row[1]), int(row[1]) + int(row[2])) for row in rows if len(row) == 3}

    def _array_rows(self) -> list[list[str]]:
        """Return the lines of the file `arrays`, but for what a crash of the file system has made of one.

        The queue shows such an array by its script.
        """
        path = self.files.arrays
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [line.split() for line in lines if re.fullmatch(r"\w+( \d+){0,2}", line)]

    def first_tasks(self) -> dict[str, int | None]:
        """Return array job id -> its first task, None where an earlier version did not record that."""
        return {row[0]: int(row[1]) if row[1:] else None for row in self._array_rows()}

    def arrays(self) -> list[str]:
        """Return the array job ids that sbatch is known to have returned."""
        return list(self.first_tasks())

    def verdict(self, index: int) -> Verdict | None:
        return read_verdict(self.path, index)

    def verdicts(self) -> set[int]:
        """Return the tasks that have a verdict, by one look at the folder."""
        return self.files.verdicts()

    def closed(self) -> set[int]:
        return self.files.closed()

    def close(self, index: int) -> None:
        """Record that the main process needs nothing more of this task."""
        self.files.mark_closed(index)

    def bury(self, index: int) -> bool:
        """Make sure that the task can never start. Return False if an allocation has claimed it."""
        return claim.claim(self.path, index, claim.TOMBSTONE)

    def fence(self, index: int) -> None:
        """Make an allocation that runs the task stop, wherever it is."""
        claim.fence(self.path, index)

    def end(self, index: int) -> None:
        """Make sure that the task neither starts nor goes on."""
        if not self.bury(index):
            self.fence(index)

    def go_on(self, index: int, record: dict[str, Any], beat: Path) -> None:
        """Let the task's first start here be one more in a row: `record` is the last one's, `beat` its sign of life.

        The mark `carried` goes when a start here writes its own.
        """
        write_json(self.files.life(index), {**record, "carried": True})
        self.files.beat(index).unlink(missing_ok=True)
        self.files.beat(index).symlink_to(beat.absolute())

    def has_packs_at_work(self) -> bool:
        """Return whether any allocation of packs has ever begun."""
        return any(self.files.lives_of_packs())

    def waits_for_another(self, index: int) -> bool:
        """Return whether the task's newest life ended because another process was at work."""
        return bool((read_json(self.files.life(index)) or {}).get("waiting"))

    def fenced(self, index: int) -> bool:
        """Return whether the task was told to stop."""
        record = claim.Life.record(self.path, index) or {}
        return self.files.fence(index).exists() or record.get("number") == claim.FENCED

    def claimed_by(self, index: int) -> str | None:
        """Return the allocation that claimed the task, the tombstone, or None."""
        return claim.owner_of(self.path, index)

    def claimed_at(self, index: int) -> float:
        """Return when the task was claimed, by the file system's clock."""
        return self.files.claim(index).stat().st_mtime


class Journal:
    """All batches of a working directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = ExecutorFolder(folder)
        self.root = self.files.batches
        self.root.mkdir(parents=True, exist_ok=True)
        for path in (folder, self.root):
            path.chmod(0o700)  # scripts, commands and logs are nobody else's business

    def batches(self) -> Iterator[Batch]:
        """Read every batch whose intent was written."""
        for path in sorted(self.root.iterdir()):
            if (batch := Batch.read(path)) is not None:
                yield batch

    def open_tasks(self) -> dict[tuple[str, str], tuple[Batch, int]]:
        """Return (token, job key) -> (batch, index) for every task that was not dealt with."""
        found = {}
        for path in sorted(self.root.iterdir()):
            if BatchFolder(path).done.exists() or (batch := Batch.read(path)) is None:
                continue
            closed = batch.closed()
            if len(closed) == len(batch.tasks):
                batch.files.done.touch()  # it need not be read again
            for index, task in enumerate(batch.tasks):
                if index not in closed:
                    found[batch.token, task.key] = (batch, index)
        return found

    def clean(self, days: float) -> None:
        """Delete what was dealt with and has been unchanged for so many days; nothing if negative."""
        if days < 0:
            return
        before = time.time() - days * 86_400
        in_use = {Path(batch.tasks[index].log).name for batch, index in self.open_tasks().values()}
        for path in self.root.iterdir():
            files = BatchFolder(path)
            if files.done.exists():
                last = files.last_closed()
            elif files.intent.exists():
                continue  # somebody may still want its jobs
            else:
                last = path.stat().st_mtime
            if last < before:
                shutil.rmtree(path, ignore_errors=True)
        for log in self.files.logs():
            if log.stat().st_mtime < before and log.name not in in_use:
                log.unlink(missing_ok=True)
