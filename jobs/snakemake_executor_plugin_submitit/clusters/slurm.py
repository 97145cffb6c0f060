"""Submit arrays to SLURM through submitit, and watch all of them by one squeue."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import submitit

from .. import allocation
from ..allocation.child import TOLD_EARLY
from ..allocation.clients import call
from ..journal import Batch
from ..settings import ExecutorSettings
from .base import Cluster, NoAnswer, Refused, State, States, TaskId

COMMENT = "submitit"
# A start in the second of its requeue fails ("Job credential revoked"), which is why SLURM lets requeued jobs wait.
HURRIED = "StartTime=now+3"
# A signal is not for the shell that is about to become the allocation: it would die of it, and the job with it. The
# shell remembers it, and `env` (of coreutils 8.31 or newer) keeps it pending until the allocation looks.
REMEMBER = [f"trap 'export {TOLD_EARLY}={name}' {name}" for name in ("TERM", "USR2")]
KEPT_PENDING = "$(env --block-signal=TERM true 2> /dev/null && echo env --block-signal=TERM,USR2)"
DEFAULT_MAX_ARRAY = 1001
# What sbatch says when the request itself is wrong, so that trying again is no use.
WRONG_REQUEST = (
    "invalid partition", "invalid account", "invalid qos", "invalid generic resource", "invalid feature",
    "invalid constraint", "invalid node name", "requested node configuration is not available",
    "more processors requested than permitted", "memory specification can not be satisfied",
    "requested time limit is invalid", "time limit specification required", "unrecognized option",
    "invalid option", "invalid --", "invalid time limit", "invalid job array", "user's group not permitted",
    "requested partition configuration not available", "access/permission denied", "invalid reservation",
    "requested reservation is invalid", "invalid cluster", "unable to open file", "invalid license",
    "job cannot be submitted without", "invalid numeric value", "node count specification invalid",
    "nodes required for job are", "invalid gres",
)  # fmt: skip
TOO_MANY = ("job submit limit", "submitjoblimit", "submit job limit", "job violates accounting/qos policy",
            "invalid job array", "job array index", "slurm_max_array")  # fmt: skip


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
        script = batch.files.script(first)
        script.write_text(self.script(batch, first, count))
        try:
            answer = call("sbatch", str(script), timeout=120)
        except NoAnswer as error:
            raise self.refused(str(error), count) from error
        return ArrayExecutor._get_job_id_from_submission_command(answer)

    def script(self, batch: Batch, first: int, count: int) -> str:
        """Return the sbatch file for tasks first ... first + count - 1 of the batch."""
        parameters = dict(batch.parameters)
        several = parameters.get("nodes", 1) * (parameters.get("ntasks_per_node") or 1) > 1
        ours = {
            "signal": f"B:USR2@{self.settings.signal_delay_s}",
            "requeue": True,
            "output": str(batch.files.slurm_output("%A_%a")),
            "error": str(batch.files.slurm_output("%A_%a")),
            "comment": f"{COMMENT}:{batch.token}:{first}",
        }
        parameters["additional_parameters"] = parameters.get("additional_parameters", {}) | ours
        parameters["job_name"] = batch.label
        parameters["array_parallelism"] = self.settings.array_parallelism
        parameters["use_srun"] = False
        parameters.setdefault("time", None)  # the partition's default, not submitit's five minutes
        parameters["wckey"] = None
        meeting = RENDEZVOUS if several else []
        parameters["setup"] = [*REMEMBER, *parameters.get("setup", []), *meeting]
        start = [sys.executable, "-I", "-S", str(Path(allocation.__file__).parent), str(batch.path)]
        command = f"exec {KEPT_PENDING} {shlex.join(start)} $(({first} + SLURM_ARRAY_TASK_ID))"
        try:
            return ArrayExecutor(batch.path, parameters).script(command, count)
        except (TypeError, ValueError) as error:
            raise Refused(f"submitit does not take these parameters: {error}", final=True) from error

    def refused(self, message: str, count: int) -> Refused:
        """Read from sbatch's message whether waiting, or fewer tasks, can help."""
        said = message.lower()
        if count > 1 and any(words in said for words in TOO_MANY):
            return Refused(message, too_many=True)
        if any(words in said for words in WRONG_REQUEST) or "not on PATH" in message:
            return Refused(message + self.offers(said), final=True)
        return Refused(message)

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
            found.append(f"\n(what it offers could not be asked: {error})")
        return "".join(found)

    def find(self, batch: Batch, first: int) -> str | None:
        wanted = f"{COMMENT}:{batch.token}:{first}"
        for row in queue():
            if row.comment == wanted:
                return row.array
        return None

    def states(self, batches: Iterable[Batch]) -> States:
        tokens = {batch.token for batch in batches}
        found: dict[TaskId, State] = {}
        for row in queue():
            if (task := row.task()) is None or task[0] not in tokens:
                continue
            state = State(row.state, f"{row.array}_{row.index}", row.node, row.reason, row.elapsed)
            if task not in found or not found[task].live:  # of two arrays with a token, one may be empty
                found[task] = state
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
                by_id[job] = [state.split()[0] if state else "", node, elapsed]
        return {
            task: State(by_id[job][0], job, by_id[job][1], "", by_id[job][2], peak.get(job, ""))
            for task, job in tasks.items()
            if job in by_id and by_id[job][0]
        }

    def cancel(self, job_ids: Iterable[str]) -> None:
        if ids := sorted(set(job_ids)):
            call("scancel", *ids, timeout=60)

    def hurry(self, job_ids: Iterable[str]) -> None:
        if ids := sorted(set(job_ids)):
            call("scontrol", "update", f"JobId={','.join(ids)}", HURRIED, timeout=60)


# The first node is where the tasks of a distributed command meet.
RENDEZVOUS = [
    'export MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
    "export MASTER_PORT=$((20000 + SLURM_JOB_ID % 40000))",
    'export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"',  # since 22.05 srun does not inherit it
]


class Row:
    """One line of squeue: array id, index in it, state, node, reason, elapsed time, comment."""

    FORMAT = "%F|%K|%T|%N|%r|%M|%k"

    def __init__(self, line: str) -> None:
        self.array, self.index, self.state, self.node, self.reason, self.elapsed, self.comment = line.split(
            "|", 6
        )

    def task(self) -> TaskId | None:
        """Return the task's token and index, None if the job is not one of ours."""
        found = re.fullmatch(COMMENT + r":(\w+):(\d+)", self.comment)
        if found is None or not self.index.isdigit():
            return None
        return found.group(1), int(found.group(2)) + int(self.index)


def queue() -> list[Row]:
    """Return all of this user's jobs, with those that ended in the last minutes. Raises NoAnswer."""
    lines = call(
        "squeue", "--me", "--states=all", "--array", "--noheader", "-o", Row.FORMAT, timeout=60
    ).splitlines()
    return [Row(line) for line in lines if line.count("|") >= 6]
