"""Run one task of a batch in this allocation, and leave a verdict."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from pathlib import Path

from . import child
from .claim import Life, claim, progress
from .decision import Action, Decision, Facts, decide
from .files import patiently, read_intent, write_line
from .folder import BatchFolder
from .member import GIVEN_BACK, HIT_BY_NEIGHBOUR, Membership
from .memory import oom_kills
from .record import TYPE_CHECKING, replace
from .requeue import LOCAL_REQUEUE, requeue, task_id, what_slurm_says
from .verdict import Verdict, write_verdict

if TYPE_CHECKING:
    from typing import Any

NEVER_STARTED = -1
BUSY_PAUSE_S = 20
SIGNAL_LAG_S = 2.0  # SLURM signals a job's processes one after the other: the command may get it before us


def main(batch: Path, index: int) -> int:
    """Run task `index` unless it is another allocation's or over. Return the exit code for SLURM."""
    child.block_signals()
    folder = BatchFolder(batch)
    intent = read_intent(folder.intent, index)
    if intent is None:
        print(f"No task description in {batch}.", file=sys.stderr)
        return 1
    membership = Membership.read()
    owner, job_id = allocation_id(intent["cluster"]) if membership is None else (membership.owner, task_id())
    if not claim(batch, index, owner) or folder.verdict(index).exists() or folder.fence(index).exists():
        print(
            f"Task {index} of {batch.name} belongs to another allocation, has ended, or is no longer wanted."
        )
        return 0
    os.chdir(intent["folder"])
    if intent["cluster"] != "debug":
        open_log(Path(intent["tasks"][index]["log"]))
    return Start(batch, index, intent, job_id, membership).run()


def allocation_id(cluster: str) -> tuple[str, str]:
    """Return the allocation's name in claims (the whole array's), and the task's job id for people."""
    if cluster == "slurm":
        return os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ["SLURM_JOB_ID"], task_id()
    local = os.environ.get("SUBMITIT_LOCAL_JOB_ID", str(os.getppid()))
    return f"{cluster}-{local}", local


def open_log(path: Path) -> None:
    """Send this process's output and its children's to the task's own log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = patiently(lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


class Start:
    """One start of a task, from its claim to its end."""

    def __init__(
        self,
        batch: Path,
        index: int,
        intent: dict[str, Any],
        job_id: str,
        membership: Membership | None = None,
    ) -> None:
        self.membership = membership  # in a pack
        self.batch, self.index, self.intent, self.job_id = batch, index, intent, job_id
        self.task: dict[str, Any] = intent["tasks"][index]
        self.on_slurm = intent["cluster"] == "slurm"
        self.began, self.kills_before, self.too_large = time.time(), oom_kills(), False
        self.life = Life.begin(batch, index, self._progress(), intent["heartbeat_s"])

    def run(self) -> int:
        """Run the command and act on its end. Return the exit code for SLURM or the local controller."""
        self.announce()
        try:
            if not self.prepare():
                return 0
            while True:
                decision, facts = self._decide(self._run_command())
                if decision.action is not Action.RUN_AGAIN:
                    return self._act(decision, facts)
                time.sleep(BUSY_PAUSE_S)
        finally:
            self.life.end()

    def announce(self) -> None:
        """Begin this start's part of the log."""
        zone = time.strftime("%z")
        now = f"{time.strftime('%Y-%m-%dT%H:%M:%S')}{zone[:3]}:{zone[3:]}"
        number, host = self.life.number + 1, os.uname().nodename
        say(f"{self.task['label']}: job {self.job_id} on {host}, start {number}, {now}")

    def prepare(self) -> bool:
        """Make ready that the command may start; where it must not, conclude that and return False."""
        if reason := self._why_not_start():
            self._conclude(NEVER_STARTED, reason)
            return False
        if self.life.number:
            put_back(self.task)
        return True

    def settle(self, ending: child.Ending) -> int:
        """Act on an end of the command that somebody else has seen. Return the exit code of a member."""
        try:
            return self._act(*self._decide(ending))
        finally:
            self.life.end()

    def hand_back(self) -> int:
        """Leave without having run, which is no lack of progress."""
        self.life.note(self._progress(), waiting=True)
        self.life.end()
        return GIVEN_BACK

    def _decide(self, ending: child.Ending) -> tuple[Decision, Facts]:
        facts = self._facts(ending)
        decision = decide(facts)
        if decision.action is Action.ASK:
            answer = what_slurm_says()
            child.hear(ending, 0)  # a signal that came meanwhile
            facts = replace(facts, slurm=answer, terminated=ending.terminated)
            decision = decide(facts)
        return decision, facts

    def _why_not_start(self) -> str:
        """Return the reason for which the command must not be started, empty where there is none."""
        if self.life.stalled > self.intent["max_requeues"]:
            return f"requeued {self.life.stalled} times in a row without getting further"
        if missing := absent_after(self.task["inputs"], self.intent["latency_wait_s"]):
            return f"input files missing on this node: {', '.join(missing)}"
        return ""

    def _run_command(self) -> child.Ending:
        limits = child.Limits(self.task["limit_s"], self.intent["signal_delay_s"])
        if self.membership is not None:
            limits = replace(limits, limit_s=self.membership.limit_s, in_pack=True)
        ending = child.run(
            self.task["argv"],
            self.environment(),
            pulse=self.life.goes_on,
            pulse_s=self.intent["heartbeat_s"],
            limits=None if self.on_slurm and self.membership is None else limits,
            small_enough=self.membership.small_enough if self.membership is not None else None,
        )
        if self.on_slurm and ending.exit_code and not ending.fenced:
            child.hear(ending, SIGNAL_LAG_S)
        return ending

    def environment(self) -> dict[str, str]:
        """Return the variables of the command."""
        found = os.environ | self.task["env"] | temporary_folder(self.task)
        return found if self.membership is None else self.membership.with_threads(found)

    def _facts(self, ending: child.Ending) -> Facts:
        return Facts(
            exit_code=ending.exit_code,
            warned=ending.warned,
            terminated=ending.terminated,
            fenced=ending.fenced,
            busy=ending.exit_code in self.intent["busy_exit_codes"],
            elapsed_s=time.time() - self.began,
            limit_s=self.task["limit_s"],
            on_slurm=self.on_slurm,
            several_nodes=int(os.environ.get("SLURM_JOB_NUM_NODES", 1)) > 1,
            packed=self.membership is not None,
            timed_out=ending.timed_out,
            too_large=ending.too_large,
            hit_by_neighbour=self._hit_by_neighbour(ending),
        )

    def _hit_by_neighbour(self, ending: child.Ending) -> bool:
        """Return whether a neighbour in the pack is why the command ended."""
        if self.membership is None or not ending.exit_code:
            return False
        killed = oom_kills() > self.kills_before and not self.membership.reached_its_share(peak_rss_kb())
        return killed or self.membership.shared_gpu_failed(Path(self.task["log"]), self.task["label"])

    def _act(self, decision: Decision, facts: Facts) -> int:
        self.too_large = facts.too_large
        if decision.action is Action.CONCLUDE:
            return self._conclude(facts.exit_code, decision.reason)
        if decision.action is Action.REQUEUE:
            return self._requeue(facts)
        if decision.action is Action.START_ANEW:
            self.life.end()
            say("killed by a fault of a neighbour in its pack; starting again")
            return HIT_BY_NEIGHBOUR
        if decision.action is Action.GIVE_BACK:
            return self._conclude(facts.exit_code, decision.reason, interrupted=True)
        if decision.reason:
            say(decision.reason)
        return 1 if facts.fenced else facts.exit_code

    def _requeue(self, facts: Facts) -> int:
        if facts.busy:
            self.life.note(self._progress(), waiting=True)
        self.life.end()
        if self.membership is not None:
            say("back to the pack's list")
            return GIVEN_BACK
        with contextlib.suppress(OSError):  # a full disk
            BatchFolder(self.batch).back(self.index).touch()
        say("back to the queue")
        if requeue(self.intent["cluster"]):
            return 0 if self.on_slurm else LOCAL_REQUEUE
        return self._conclude(facts.exit_code, "SLURM refused to requeue it", interrupted=True)

    def _conclude(self, exit_code: int, reason: str, interrupted: bool = False) -> int:
        """Write the verdict, unless a newer start has taken over."""
        if self.life.fenced():
            return 1
        verdict = Verdict(
            exit_code=exit_code,
            job_id=self.job_id,
            node=os.environ.get("SLURMD_NODENAME") or os.uname().nodename,
            started=self.began,
            ended=time.time(),
            lives=self.life.number + 1,
            peak_rss_kb=peak_rss_kb(),
            out_of_memory=self.too_large or self._killed_for_memory(exit_code),
            reason=reason,
            interrupted=interrupted,
        )
        write_verdict(self.batch, self.index, verdict)
        return 0

    def _killed_for_memory(self, exit_code: int) -> bool:
        """Return whether the kernel has killed for memory here; in a pack, whether that was for this member's."""
        if oom_kills() <= self.kills_before:
            return False
        return self.membership is None or (
            exit_code != 0 and self.membership.reached_its_share(peak_rss_kb())
        )

    def _progress(self) -> str:
        return progress(self.task["progress"], Path(self.intent["folder"]))


def peak_rss_kb() -> int:
    """Return the memory of the largest process that has ended here."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def say(text: str) -> None:
    """Write a line of the allocation's own into the task's log."""
    write_line(f"== {text}")


def temporary_folder(task: dict[str, Any]) -> dict[str, str]:
    """Return the variables by which Snakemake's shell tells a command where to keep temporary files."""
    if not task["tmpdir"]:
        return {}
    named = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    where = "/tmp"
    if named or not os.access(where, os.W_OK | os.X_OK):
        import tempfile  # slow to load, and seldom needed

        where = tempfile.gettempdir()
    return dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), where)


def absent_after(paths: list[str], seconds: float) -> list[str]:
    """Return the inputs that are missing even after the time that the file system may lag."""
    end = time.monotonic() + seconds
    while (absent := [p for p in paths if not os.path.lexists(p)]) and time.monotonic() < end:
        time.sleep(0.5)
    return absent


def put_back(task: dict[str, Any]) -> None:
    """Make the outputs what they were before the first start, as Snakemake does before it starts a job.

    What an earlier start left is deleted; files that the job updates come back from their backup.
    """
    for path in map(Path, task["stale"]):
        remove(path)
    for path, backup in task.get("updated", {}).items():
        if Path(backup).exists():
            restore(Path(backup), Path(path))


def restore(backup: Path, path: Path) -> None:
    """Replace `path` by a copy of its backup, a folder or a file."""
    import shutil  # slow to load, and seldom needed

    remove(path)
    if backup.is_dir():
        shutil.copytree(backup, path, symlinks=True)
    else:
        shutil.copy2(backup, path)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # slow to load, and seldom needed

        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
