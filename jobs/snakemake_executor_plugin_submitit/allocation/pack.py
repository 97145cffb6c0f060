"""Run tasks of a batch side by side in this allocation, as members of a pack.

Each member is a process of its own, forked so that it is there at once: it has its GPUs, CPUs and share of memory,
its life, log and verdict as if it were alone. The list may be longer than there are slots, and other
allocations may work on the same list: a member is claimed as a slot becomes free. Members never requeue. They are
handed back, and once nothing else is left to do, the allocation goes back to the queue for all of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from . import child, processes, slots, task, warm
from .claim import Life, claim, owner_of
from .decision import Slurm
from .files import read_json, unique, write_json
from .folder import BatchFolder
from .member import GIVEN_BACK, HIT_BY_NEIGHBOUR
from .record import dataclass
from .requeue import requeue, task_id, what_slurm_says
from .verdict import Verdict, write_verdict

LOOK_S = 1.0
ROOM_TO_END_S = 10.0  # a member that reaches its limit is told so before SLURM ends all of them
GPU_LOOK_S = 60.0  # between two looks at how full shared GPUs are
FULL_GPU = 0.9


def main(batch: Path, first: int, count: int, limit_s: int) -> int:
    """Run what is left of tasks first ... first + count - 1 and return the exit code for SLURM."""
    child.block_signals()
    intent = read_json(BatchFolder(batch).intent)
    if intent is None:
        print(f"No task description in {batch}.", file=sys.stderr)
        return 1
    os.chdir(intent["folder"])
    return Pack(batch, range(first, first + count), intent, limit_s).run()


@dataclass
class Running:
    """A process of ours and the members that it runs: one, or several one after the other."""

    indexes: list[int]
    pid: int

    def poll(self) -> int | None:
        """Return its exit code, 128 + n where signal n ended it; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


class Pack:
    """One start of a pack's allocation."""

    def __init__(self, batch: Path, members: range, intent: dict[str, Any], limit_s: int) -> None:
        self.batch, self.members, self.intent = batch, members, intent
        self.folder = BatchFolder(batch)
        self.owner, self.start = task_id(), unique()
        self.ends = time.monotonic() + limit_s if limit_s else None  # whatever is done to the clock
        self.slots = slots.make(intent["pack"], len(members))
        self.running: dict[int, Running] = {}  # by slot
        self.looked_at: set[int] = set()  # members that need no further look in this start
        self.given_back: set[int] = set()
        self.suspects: set[int] = (
            set()
        )  # members that a fault in a shared GPU has ended: each runs alone there
        self.used: set[int] = set()  # slots that have had a member
        self.warned = self.terminated = False
        self._gpus_looked_at = time.monotonic()

    def run(self) -> int:
        """Work on the list until nothing is left that can be done now. Return the exit code for SLURM."""
        processes.adopt_orphans()
        write_json(self.folder.pack_life(self.owner), self.start)
        while True:
            self._fill()
            if not self.running:
                return self._leave()
            came = signal.sigtimedwait(child.WATCHED, LOOK_S)
            if came is not None and came.si_signo in child.TOLD:
                self._tell(signal.Signals(came.si_signo))
            self._reap()
            self._look_at_gpus()

    def _tell(self, signum: signal.Signals) -> None:
        """Pass a signal on to the members, which know what to do with it. Nothing is started any more."""
        self.warned = True
        self.terminated |= signum == signal.SIGTERM
        for one in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signum)

    # -------------------------------------------------------------- starting

    def _fill(self) -> None:
        """Start a member in each slot that is free and allowed to take one."""
        coming = signal.sigpending()
        # A warning that comes before anything runs (a time limit that is shorter) is passed on, as a job alone gets it.
        if self.warned or signal.SIGTERM in coming or (signal.SIGUSR2 in coming and self.used):
            return
        for slot in self.slots:
            if slot.number in self.running or not self._may_use(slot):
                continue
            try:
                if not self._newest() or (index := self._next(slot)) is None:
                    continue
                indexes = [index, *self._company(slot, index)]
            except OSError as trouble:  # a full disk, for example: what runs goes on
                print(f"Cannot claim a member now: {trouble}", flush=True)
                return
            self.running[slot.number] = Running(indexes, self._begin(slot, indexes))
            self.used.add(slot.number)

    def _may_use(self, slot: slots.Slot) -> bool:
        """Return whether nobody runs on the slot's GPU who has to be alone there."""
        return not any(self.suspects & set(one.indexes) for one in self._sharers(slot))

    def _sharers(self, slot: slots.Slot) -> list[Running]:
        return [
            self.running[other.number]
            for other in self.slots
            if other.number in self.running and slot.gpus and other.gpus == slot.gpus
        ]

    def _newest(self) -> bool:
        """Return whether SLURM has not started this allocation anew elsewhere, its node being lost."""
        return bool(read_json(self.folder.pack_life(self.owner)) == self.start)

    def _next(self, slot: slots.Slot) -> int | None:
        """Claim a member for the slot, None if there is none that it could run now."""
        for index in self.members:
            if index in self.looked_at:
                continue
            if index in self.suspects and self._sharers(slot):
                continue
            owner = owner_of(self.batch, index)
            over = self.folder.verdict(index).exists() or self.folder.fence(index).exists()
            if over or owner not in (None, self.owner):
                self.looked_at.add(index)
            elif not self._time_for(slot, index):
                return None
            elif claim(self.batch, index, self.owner):
                self.looked_at.add(index)
                return index
        return None

    def _company(self, slot: slots.Slot, first: int) -> list[int]:
        """Claim members that one warm process runs after the first.

        A part of what is left, which becomes smaller towards the end, so that the slots end together.
        """
        tasks = self.intent["tasks"]
        command, limit = warm.command_of(tasks[first]), tasks[first]["limit_s"]
        if not command or first in self.suspects:
            return []
        left = [
            i
            for i in self.members
            if i not in self.looked_at and owner_of(self.batch, i) in (None, self.owner)
        ]
        most = -(-(len(left) + 1) // (2 * len(self.slots))) - 1
        if self.ends is not None and limit:
            most = min(most, int((self.ends - time.monotonic()) / limit) - 1)
        found: list[int] = []
        for index in left:
            if len(found) >= most:
                break
            over = self.folder.verdict(index).exists() or self.folder.fence(index).exists()
            if warm.command_of(tasks[index]) == command and index not in self.suspects and not over:
                if claim(self.batch, index, self.owner):
                    found.append(index)
                self.looked_at.add(index)
        return found

    def _time_for(self, slot: slots.Slot, index: int) -> bool:
        """Return whether the member can come to its end here; a slot's first has the whole allocation's time."""
        limit = self.intent["tasks"][index]["limit_s"]
        if self.ends is None or limit is None or slot.number not in self.used:
            return True
        return bool(time.monotonic() + limit <= self.ends)

    def _begin(self, slot: slots.Slot, indexes: list[int]) -> int:
        """Start a member, or a line of them, in a fork of this process and return its id.

        A new interpreter would take a tenth of a second of a CPU, in which the slot is idle.
        """
        index = indexes[0]
        limit = self.intent["tasks"][index]["limit_s"]
        if limit is not None and self.ends is not None:
            limit = max(1.0, min(limit, self.ends - time.monotonic() - ROOM_TO_END_S))
        variables = slot.variables(self.owner, limit, alone=index in self.suspects)
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.environ.update(variables)
            slot.pin()
            if warm.command_of(self.intent["tasks"][index]):
                code = warm.main(self.batch, indexes, self.intent, self.owner)
            else:
                code = task.main(self.batch, index)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    # ---------------------------------------------------------------- ending

    def _reap(self) -> None:
        for number, one in list(self.running.items()):
            if (code := one.poll()) is None:
                continue
            del self.running[number]
            self._end_orphans()
            for index in one.indexes:
                self._note_end(number, index, code)

    def _end_orphans(self) -> None:
        """End what a member has left behind, as SLURM does when a job ends: it came to us, for its parent is gone."""
        members = {one.pid for one in self.running.values()}
        for pid in processes.children(os.getpid()):
            if pid not in members:
                processes.send(pid, signal.SIGKILL, only_catching=False)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _note_end(self, number: int, index: int, code: int) -> None:
        """Note what became of a member that has left its slot."""
        if self.folder.verdict(index).exists() or self.folder.fence(index).exists():
            self.suspects.discard(index)
        elif code == HIT_BY_NEIGHBOUR:
            self.looked_at.discard(index)
            if self.slots[number].shared:
                self.suspects.add(index)
        elif code == GIVEN_BACK or Life.record(self.batch, index) is not None:
            self.given_back.add(index)  # its process may have been killed; its starts are counted
        else:
            self._interrupted(index, "could not be started in its pack")

    def _leave(self) -> int:
        """Go back to the queue if members are left, else end."""
        if not self._newest():
            return 1
        left = self.given_back or self._unclaimed()
        if not left or (self.terminated and what_slurm_says() is Slurm.ENDED):
            return 0
        print(f"{len(left)} members left; back to the queue", flush=True)
        if requeue("slurm"):
            return 0
        for index in self.given_back:
            self._interrupted(index, "SLURM refused to requeue its pack")
        return 1

    def _unclaimed(self) -> set[int]:
        """Return the members that are left on the list."""
        return {
            index
            for index in self.members
            if index not in self.looked_at
            and owner_of(self.batch, index) in (None, self.owner)
            and not self.folder.verdict(index).exists()
            and not self.folder.fence(index).exists()
        }

    def _interrupted(self, index: int, reason: str) -> None:
        """Let the main process submit a member again, for it cannot come back here."""
        record, now = Life.record(self.batch, index) or {"number": 0}, time.time()
        if not self.folder.verdict(index).exists() and not self.folder.fence(index).exists():
            node, lives = os.environ.get("SLURMD_NODENAME", ""), record["number"] + 1
            verdict = Verdict(-1, self.owner, node, now, now, lives, 0, False, reason, interrupted=True)
            with contextlib.suppress(
                OSError
            ):  # without it the main process knows once the allocation has ended
                write_verdict(self.batch, index, verdict, patience_s=0)

    # ------------------------------------------------------------ measuring

    def _look_at_gpus(self) -> None:
        """Warn in the logs of those who share a GPU that is nearly full, where that can be measured."""
        now = time.monotonic()
        if now - self._gpus_looked_at < GPU_LOOK_S or not any(slot.shared for slot in self.slots):
            return
        self._gpus_looked_at = now
        for gpu, (used, total) in slots.gpu_memory(shutil.which("nvidia-smi")).items():
            if used > FULL_GPU * total:
                for number, one in self.running.items():
                    if gpu in self.slots[number].gpus:
                        log = Path(self.intent["tasks"][one.indexes[0]]["log"])
                        with contextlib.suppress(OSError), log.open("a") as file:
                            sharers = len(self._sharers(self.slots[number]))
                            print(
                                f"== GPU {gpu}, shared by {sharers} jobs, has {used} of {total} MB in use",
                                file=file,
                            )
