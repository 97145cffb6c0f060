"""Submit arrays to SLURM through submitit, and watch all of them by one squeue."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import submitit

from .. import packs
from ..allocation.child import TOLD_EARLY
from ..allocation.clients import call
from ..allocation.folder import BatchFolder
from ..allocation.requeue import UNKNOWN_JOB
from ..journal import Batch
from ..settings import ExecutorSettings
from .base import ENDS, PROGRAM, Cluster, NoAnswer, Refused, State, States, TaskId
from .limits import Allowance, of_association, of_qos, of_qos_table, tightest
from .refusals import BACKSLASH, refusal
from .sbatch import sbatch

# A start in the second of its requeue fails ("Job credential revoked"), which is why SLURM lets requeued jobs wait.
HURRIED = "StartTime=now+3"
# A signal is not for the shell that is about to become the allocation: it would die of it, and the job with it. The
# shell remembers it, and `env` (of coreutils 8.31 or newer) keeps it pending until the allocation looks.
REMEMBER = [f"trap 'export {TOLD_EARLY}={name}' {name}" for name in ("TERM", "USR2")]
# It remembers between two commands, so what takes time is a command of its own.
FIND_KEEPER = "keeper=$(env --block-signal=TERM echo env --block-signal=TERM,USR2 2> /dev/null)"
# One that comes within `exec` would be caught and forgotten, and a cancelled job would run on. For this moment, in
# which nothing has begun, the shell dies of SIGTERM. The warning is only forgotten, since SLURM may send it at the
# start of a job whose limit is short.
BECOME = "trap - TERM\nexec $keeper"
DEFAULT_MAX_ARRAY = 1001


class ArrayExecutor(submitit.SlurmExecutor):
    """submitit's SLURM executor for an array of commands instead of one of pickled functions.

    Stock submitit renames its pickles once sbatch has returned, so that a kill between the two leaves
    tasks that cannot find theirs; here everything a task needs is on disk beforehand.
    """

    def __init__(self, folder: Path, parameters: dict[str, Any]) -> None:
        super().__init__(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.update_parameters(**parameters)

    @classmethod
    def affinity(cls) -> int:
        return 2  # whether there is an sbatch is told by calling it

    def script(self, command: str, count: int) -> str:
        """Return the text of the sbatch file."""
        self.parameters["map_count"] = count
        return self._make_submission_file_text(command, "")


class SlurmCluster(Cluster):
    """The cluster that sbatch and squeue on PATH talk to."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self.settings = settings
        self._largest: int | None = None
        self._listed: list[Any] | None = None

    def largest(self) -> int:
        if self._largest is None:
            if shutil.which("sbatch") is None:
                raise Refused(
                    "sbatch is not on PATH, so this is no SLURM login node (`--submitit-cluster local` uses "
                    "this machine)",
                    final=True,
                )
            found = re.search(r"MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config", timeout=60))
            self._largest = max(1, int(found.group(1)) if found else DEFAULT_MAX_ARRAY)
        return self._largest

    def submit(self, batch: Batch, first: int, count: int) -> str:
        if "\\" in str(batch.path):
            raise Refused(BACKSLASH, final=True)
        script = batch.files.script(first, None if batch.pack is None else count)
        script.write_text(self.script(batch, first, count))
        try:
            return sbatch(script)
        except NoAnswer as error:
            raise self.refused(str(error), -(-count // batch.tasks_per_allocation)) from error

    def script(self, batch: Batch, first: int, count: int) -> str:
        """Return the sbatch file for tasks first ... first + count - 1 of the batch."""
        parameters, allocations, what = dict(batch.parameters), count, f"$(({first} + SLURM_ARRAY_TASK_ID))"
        if batch.pack is not None:
            allocations, _, _ = packs.shape(batch, count)
            parameters = packs.request(batch, count, self._longest(batch))
            what = f"{first} {count} {60 * parameters['time']}"
        several = parameters.get("nodes", 1) * (parameters.get("ntasks_per_node") or 1) > 1
        # A % in the folder's own name is no place for SLURM to fill in.
        folder = str(batch.path).replace("%", "%%")
        output = str(BatchFolder(Path(folder)).slurm_output("%A_%a"))
        ours = {
            "signal": f"B:USR2@{self.settings.signal_delay_s}",
            "requeue": True,
            "output": output,
            "error": output,
        }
        parameters["additional_parameters"] = parameters.get("additional_parameters", {}) | ours
        parameters["job_name"] = batch.label
        parameters["array_parallelism"] = self.settings.array_parallelism
        parameters["use_srun"] = False
        parameters.setdefault("time", None)  # the partition's default, not submitit's five minutes
        parameters["wckey"] = None
        meeting = RENDEZVOUS if several else []
        parameters["setup"] = [*REMEMBER, *parameters.get("setup", []), *meeting, FIND_KEEPER]
        start = [sys.executable, "-I", "-S", str(PROGRAM), str(batch.path)]
        command = f"{BECOME} {shlex.join(start)} {what}"
        try:
            return ArrayExecutor(batch.path, parameters).script(command, allocations)
        except (TypeError, ValueError) as error:
            raise Refused(f"submitit does not accept these parameters: {error}", final=True) from error

    def refused(self, message: str, count: int) -> Refused:
        """Read from sbatch's message whether waiting, or fewer tasks, can help."""
        found = refusal(message, count)
        if found.final:
            found.args = (message + self.offers(message.lower()),)
        return found

    def allowance(self, batch: Batch, limit: str) -> Allowance | None:
        user = getpass.getuser()
        show = ("scontrol", "show", "assoc_mgr", f"users={user}", "flags=assoc,qos")
        try:
            text = call(*show, timeout=60)
            found = [] if limit.startswith("QOS") else list(of_association(text, user, batch.parameters))
            if not limit.startswith("Assoc"):
                found += of_qos(text, (user, str(os.getuid())), batch.parameters)
            if found or limit.startswith("Assoc"):
                return tightest(found)
            columns = "format=name,maxsubmitjobspu,maxsubmitjobspa,grpsubmitjobs"
            table = call("sacctmgr", "-n", "-P", "show", "qos", columns, timeout=60)
            return tightest(of_qos_table(table, batch.parameters))
        except NoAnswer:
            return None

    def anything_queued(self) -> bool:
        return any(row.state not in ENDS for row in queue())

    def offers(self, said: str) -> str:
        """Tell what the cluster has of that which it refused."""
        from ..site import accounts, partitions

        found = []
        try:
            if "partition" in said:
                found.append(f"\nIts partitions are: {', '.join(p.name for p in partitions())}")
            if "account" in said or "qos" in said:
                listed = [f"{a.account} (qos {a.qos})" if a.qos else a.account for a in accounts()]
                found.append(f"\nYour accounts are: {', '.join(listed) or 'none'}")
            if "generic resource" in said or "gres" in said or "node configuration" in said:
                listed = [f"{p.name}: {p.nodes} nodes, {p.cpus} CPUs, {p.gres}" for p in partitions()]
                found.append("\nIts partitions have (per node): " + "; ".join(listed))
        except NoAnswer as error:
            found.append(f"\n(could not ask what it offers: {error})")
        return "".join(found)

    def objections(self, batch: Batch) -> list[str]:
        from ..fits import too_much

        alone = batch.parameters
        asked = alone if batch.pack is None else packs.request(batch, len(batch.tasks), self._longest(batch))
        return too_much(asked, self._partitions())

    def _longest(self, batch: Batch) -> int | None:
        """Return the longest time limit in minutes that the batch's partition allows, None if that is not known."""
        from ..site import minutes

        names = str(batch.parameters.get("partition") or "").split(",")
        ours = [p for p in self._partitions() if (p.name in names if names != [""] else p.default)]
        limits = [minutes(p.limit) for p in ours]
        return max((limit for limit in limits if limit is not None), default=None)

    def _partitions(self) -> list[Any]:
        """Return what partitions there are, asked once; none if that is not answered."""
        from ..site import partitions

        if self._listed is None:
            try:
                self._listed = partitions()
            except (NoAnswer, ValueError):
                self._listed = []
        return self._listed

    def allows(self, batch: Batch, reason: str) -> str:
        from ..site import limits

        try:
            return "; ".join(self.objections(batch)) or limits(reason, batch.parameters)
        except NoAnswer:
            return ""

    def find(self, batch: Batch, first: int) -> str | None:
        wanted = batch.token, first
        if found := next((row.array for row in queue() if row.script() == wanted), None):
            return found
        # What has started and is forgotten again has left its claim.
        owner = (batch.claimed_by(first) or "").partition("_")[0] or None
        return owner if owner is not None and owner.isdigit() else None

    def states(self, batches: Iterable[Batch]) -> States:
        by_token = {batch.token: batch for batch in batches}
        known = {array: (b, first) for b in by_token.values() for array, first in b.first_tasks().items()}
        shared = {array: (b, those) for b in by_token.values() for array, those in b.packs().items()}
        allocations: dict[str, dict[int, State]] = {}
        found: dict[TaskId, State] = {}
        for row in queue():
            batch, first = whose(row, known, by_token)
            if batch is None or first is None or not row.index.isdigit():
                continue
            if row.array not in known:  # its answer was lost with an earlier main process
                members = row.members()
                batch.add_array(row.array, first, members)
                known[row.array] = batch, first
                if members is not None:
                    shared[row.array] = batch, range(first, first + members)
            task = batch.token, first + int(row.index)
            state = State(row.state, f"{row.array}_{row.index}", row.node, row.reason, row.elapsed)
            if row.array in shared:
                allocations.setdefault(row.array, {})[int(row.index)] = state
                continue
            if task not in found or not found[task].live:  # of two arrays of a task, one may be empty
                found[task] = state
        for array, of in allocations.items():
            batch, those = shared[array]
            for index, state in packs.members(batch, array, those, of).items():
                found[batch.token, index] = state
        return found

    def ended(self, tasks: Mapping[TaskId, str]) -> States:
        arrays = sorted({job_id.partition("_")[0] for job_id in tasks.values()})
        columns = "JobID,State,NodeList,Elapsed,MaxRSS"
        text = call("sacct", "-n", "-P", "-o", columns, "-j", ",".join(arrays), timeout=60)
        by_id: dict[str, list[str]] = {}
        peak: dict[str, str] = {}
        for line in text.splitlines():
            job_id, state, node, elapsed, memory = (line.split("|") + [""] * 5)[:5]
            job, _, step = job_id.partition(".")
            if step:
                peak[job] = memory or peak.get(job, "")
            else:
                by_id[job] = [state.split()[0].rstrip("+") if state.split() else "", node, elapsed]
        return {
            task: State(by_id[job][0], job, by_id[job][1], "", by_id[job][2], peak.get(job, ""))
            for task, job in tasks.items()
            if job in by_id and by_id[job][0]
        }

    def cancel_waiting(self, job_ids: Iterable[str]) -> None:
        if ids := together(job_ids):
            try:
                call("scancel", "--state=PENDING", *ids, timeout=60)
            except NoAnswer as trouble:
                if UNKNOWN_JOB not in str(trouble).lower():  # else all have ended by themselves
                    raise

    def cancel(self, job_ids: Iterable[str]) -> None:
        if ids := together(job_ids):
            call("scancel", *ids, timeout=60)

    def hurry(self, job_ids: Iterable[str]) -> None:
        if ids := sorted(set(job_ids)):
            call("scontrol", "update", f"JobId={','.join(ids)}", HURRIED, timeout=60)

    def release(self, job_ids: Iterable[str]) -> None:
        if ids := sorted(set(job_ids)):
            call("scontrol", "release", ",".join(ids), timeout=60)


# The first node is where the tasks of a distributed command meet.
RENDEZVOUS = [
    'export MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
    "export MASTER_PORT=$((20000 + SLURM_JOB_ID % 40000))",
    'export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"',  # srun of 22.05 and 23.02 does not inherit it
]


def together(job_ids: Iterable[str]) -> list[str]:
    """Return the ids with those of one array in one word, such as 12_[0,3]: SLURM deals with it at once."""
    tasks: dict[str, list[str]] = {}
    for array, _, index in (job_id.partition("_") for job_id in sorted(set(job_ids))):
        tasks.setdefault(array, []).extend([index] if index else [])
    return [f"{array}_[{','.join(of)}]" if of else array for array, of in tasks.items()]


SCRIPT = re.compile(r"(?:^|/)(\w+)/submission-(\d+)(?:-(\d+))?\.sh$")


class Row:
    """One line of squeue: array id, index in it, state, node, reason, elapsed time, script.

    Comments are not looked at: they are the user's, and sites' plugins and administrators rewrite them.
    """

    FORMAT = "%F|%K|%T|%N|%r|%M|%o"

    def __init__(self, line: str) -> None:
        self.array, self.index, self.state, self.node, self.reason, self.elapsed, self.command = line.split(
            "|", 6
        )

    def script(self) -> tuple[str, int] | None:
        """Return the token and first task of the batch whose script the job is, None if it is not one of ours."""
        found = SCRIPT.search(self.command.strip())
        return (found.group(1), int(found.group(2))) if found else None

    def members(self) -> int | None:
        """Return how many tasks share the allocations of the array, None where each has its own."""
        found = SCRIPT.search(self.command.strip())
        return int(found.group(3)) if found and found.group(3) else None


Known = Mapping[str, tuple[Batch, int | None]]  # array id -> its batch and first task


def whose(row: Row, known: Known, by_token: Mapping[str, Batch]) -> tuple[Batch | None, int | None]:
    """Return the batch and first task of a job's array, by its id or else by its script.

    A script of ours that is another's overrules the id: a cluster that was set up anew counts from 1 again.
    """
    script = row.script()
    batch, first = known.get(row.array, (None, None))
    if script is None:
        return batch, first
    if batch is None or batch.token != script[0] or first is None:
        return by_token.get(script[0]), script[1]
    return batch, first


def queue() -> list[Row]:
    """Return all of this user's jobs, with those that ended in the last minutes. Raises NoAnswer."""
    lines = call(
        "squeue", "--me", "--states=all", "--array", "--noheader", "-o", Row.FORMAT, timeout=60
    ).splitlines()
    return [Row(line) for line in lines if line.count("|") >= 6]
