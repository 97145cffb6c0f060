"""Decide who may run a task: exactly one allocation, and only its newest start, called a life.

A task is claimed by the first allocation that creates its claim file. The main process can create
that file too, as a tombstone: then no allocation can ever run the task. A requeued allocation finds
its own claim and goes on as the next life; it makes itself known first, so that an older copy on a
node that SLURM had lost sees that its time is over, and waits until that copy is silent.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from . import processes
from .files import create_once, patiently, read_json, write_json
from .folder import BatchFolder
from .record import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from typing import Any

TOMBSTONE = "tombstone"
FIRST = {"number": 0, "stalled": 0, "progress": "", "waiting": False}  # what the first life notes
FENCED = 10**9  # the number of a life that never ends, by which earlier versions know a fence


def claim(batch: Path, index: int, owner: str) -> bool:
    """Claim the task for `owner` (an allocation's id, or TOMBSTONE). Return whether the claim is its own."""
    path = BatchFolder(batch).claim(index)
    return create_once(path, owner) or path.read_text() == owner


def owner_of(batch: Path, index: int) -> str | None:
    """Return the allocation that claimed the task, TOMBSTONE, or None while nobody has."""
    try:
        return BatchFolder(batch).claim(index).read_text()
    except FileNotFoundError:
        return None


@dataclass
class Life:
    """One start of a task's allocation; `number` is 0 for the first, `stalled` counts lives in a row
    that ended without progress (see `progress`)."""

    batch: Path
    index: int
    number: int
    stalled: int
    heartbeat_s: float

    @property
    def _record(self) -> Path:
        return BatchFolder(self.batch).life(self.index)

    @property
    def _beat(self) -> Path:
        return BatchFolder(self.batch).beat(self.index)

    @classmethod
    def record(cls, batch: Path, index: int) -> dict[str, Any] | None:
        """Return what the newest life noted of itself, None if there was none."""
        found: dict[str, Any] | None = read_json(BatchFolder(batch).life(index))
        return found

    @classmethod
    def begin(cls, batch: Path, index: int, progress: str, heartbeat_s: float) -> Life:
        """Become the newest life. Then wait until an older copy that still beats has stopped."""
        BatchFolder(batch).back(index).unlink(missing_ok=True)
        before = cls.record(batch, index)
        if before is None:
            life = cls(batch, index, 0, 0, heartbeat_s)
        else:
            life = cls(batch, index, before["number"] + 1, stalled_after(before, progress), heartbeat_s)
        life.note(progress)
        life._outwait()
        life.beat()
        return life

    def note(self, progress: str, waiting: bool = False) -> None:
        """Record this life. `waiting` marks one that ends only because another process was at work."""
        record = {"number": self.number, "stalled": self.stalled, "progress": progress, "waiting": waiting}
        patiently(lambda: write_json(self._record, record))

    def fenced(self) -> bool:
        """Return whether a newer life has begun, or none is wanted any more."""
        record = self.record(self.batch, self.index)
        if BatchFolder(self.batch).fence(self.index).exists():
            return True
        return record is not None and record["number"] > self.number

    def beat(self, in_line: bool = False) -> None:
        """Show that this life still runs, or stands in the line of a warm process that has not come to it."""
        sign = [self.number, os.uname().nodename, os.getpid(), time.time(), *(["in line"] if in_line else [])]
        with contextlib.suppress(OSError):  # a full disk, for example: the command is not to end for that
            write_json(self._beat, sign, sync=False)

    def goes_on(self) -> bool:
        """Beat and return True; return False if a newer life has begun."""
        if self.fenced():
            return False
        self.beat()
        return True

    def end(self) -> None:
        """Record that nothing of this life runs any more."""
        self._beat.unlink(missing_ok=True)

    def _outwait(self) -> None:
        seen, silent_since = None, time.monotonic()
        while (beat := read_json(self._beat)) is not None:
            if beat[1] == os.uname().nodename and processes.started(beat[2]) is None:
                return
            if beat != seen:
                seen, silent_since = beat, time.monotonic()
            if time.monotonic() - silent_since > 3 * self.heartbeat_s:
                return
            time.sleep(min(1.0, self.heartbeat_s))


def beats(batch: Path, index: int) -> bool:
    """Return whether a life of the task runs or may run, by the sign that its end takes away."""
    return BatchFolder(batch).beat(index).exists()


def in_line(batch: Path, index: int) -> bool:
    """Return whether a warm process has the task in its line and has not come to it."""
    return len(read_json(BatchFolder(batch).beat(index)) or []) > 4


def stalled_after(before: dict[str, Any], progress: str) -> int:
    """Return how many lives in a row ended without progress, if another one begins now."""
    return 0 if progress != before["progress"] else before["stalled"] + (not before["waiting"])


def fence(batch: Path, index: int) -> None:
    """Make every life of the task stop, and no other begin, wherever it is.

    A file of its own, for a life that begins in this moment writes its own record.
    """
    BatchFolder(batch).fence(index).touch()
    newest = Life.record(batch, index) or FIRST
    if newest["number"] != FENCED:
        write_json(BatchFolder(batch).life(index), {**newest, "number": FENCED, "was": newest["number"]})


def progress(patterns: list[str], folder: Path) -> str:
    """Return a fingerprint of the files that match, which changes when the job has got further.

    Without patterns it never changes, so that each requeue counts as one without progress.
    """
    found = []
    for pattern in patterns:
        absolute = Path(pattern).is_absolute()
        root, rest = (Path("/"), pattern.lstrip("/")) if absolute else (folder, pattern)
        for path in sorted(root.glob(rest)):
            stat = path.stat()
            found.append(f"{path}:{stat.st_size}:{stat.st_mtime_ns}")
    return ";".join(found)
