"""Use this machine as a cluster: submitit's local executor, with no more tasks at once than there is room for."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import submitit

from ..allocation import processes
from ..journal import Batch
from ..settings import ExecutorSettings
from .base import PROGRAM, Cluster, Refused, State, States, TaskId

WAITING = "waiting"  # prefix of the job id of what has not been started


def task_command(batch: Batch, index: int) -> list[str]:
    """Return the command that runs one task, after the profile's setup lines."""
    start = [sys.executable, "-I", "-S", str(PROGRAM), str(batch.path), str(index)]
    if setup := batch.parameters.get("setup"):
        return ["/bin/bash", "-c", "\n".join([*setup, f"exec {shlex.join(start)}"])]
    return start


class CommandExecutor(submitit.LocalExecutor):
    """submitit's local executor for a command instead of a pickled function."""

    def start(self, command: list[str]) -> submitit.Job[Any]:
        """Start the command under submitit's controller, which outlives us and which Ctrl-C does not reach."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            return self._submit_command(shlex.join(command))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@dataclass
class Waiting:
    """A task that has not been started, and the room that it needs."""

    batch: Batch
    index: int
    cpus: int
    gpus: int


class LocalCluster(Cluster):
    """Starts tasks in the order of submission as CPUs and GPUs become free."""

    cheap = True

    def __init__(self, settings: ExecutorSettings) -> None:
        self.cpus = settings.local_cpus or os.cpu_count() or 1
        self.gpus = gpu_names(settings.local_gpus)
        self._free_gpus = list(self.gpus)
        self._free_cpus = self.cpus
        self._waiting: deque[Waiting] = deque()
        self._running: dict[TaskId, tuple[Waiting, submitit.Job[Any], list[str]]] = {}
        self._adopted: dict[TaskId, tuple[int, list[str]]] = {}  # what an earlier main process started

    def largest(self) -> int:
        return 1_000_000

    def submit(self, batch: Batch, first: int, count: int) -> str:
        cpus = min(int(batch.parameters.get("cpus_per_task", 1)), self.cpus)
        gpus = gpus_wanted(batch.parameters)
        if re.search("%[jtAa]", str(batch.path)):
            raise Refused(
                "the path of this folder contains %j, %t, %A or %a, which submitit would replace; use another folder",
                final=True,
            )
        if gpus > len(self.gpus):
            raise Refused(f"the job asks for {gpus} GPUs, but this machine has {len(self.gpus)}", final=True)
        if batch.parameters.get("nodes", 1) > 1:
            raise Refused("the job asks for several nodes, but this machine is one", final=True)
        self._waiting.extend(Waiting(batch, index, cpus, gpus) for index in range(first, first + count))
        self._start()
        return "local"

    def _start(self) -> None:
        while self._waiting and self._fits(self._waiting[0]):
            task = self._waiting.popleft()
            gpus = self._unused_gpus()[: task.gpus]
            for gpu in gpus:  # one that is named twice is shared by two
                self._free_gpus.remove(gpu)
            self._free_cpus -= task.cpus
            executor = CommandExecutor(task.batch.path)
            # The allocation keeps the time limit itself; the controller's is only to be out of its way.
            executor.update_parameters(timeout_min=10**6, signal_delay_s=0)
            visible = ["env", f"CUDA_VISIBLE_DEVICES={','.join(gpus)}"]
            job = executor.start([*visible, *task_command(task.batch, task.index)])
            self._running[task.batch.token, task.index] = (task, job, gpus)

    def _fits(self, task: Waiting) -> bool:
        taken = sum(cpus for cpus, _ in self._adopted.values())
        return task.cpus <= self._free_cpus - taken and task.gpus <= len(self._unused_gpus())

    def _unused_gpus(self) -> list[str]:
        free = list(self._free_gpus)
        for gpu in (gpu for _, gpus in self._adopted.values() for gpu in gpus):
            if gpu in free:
                free.remove(gpu)
        return free

    def find(self, batch: Batch, first: int) -> str | None:
        return None

    def states(self, batches: Iterable[Batch]) -> States:
        found: dict[TaskId, State] = {}
        for task_id, (task, job, gpus) in list(self._running.items()):
            process = getattr(job, "_process", None)
            if process is None or process.poll() is None:
                found[task_id] = State("RUNNING", job.job_id)
                continue
            found[task_id] = State("COMPLETED" if process.returncode == 0 else "FAILED", job.job_id)
            del self._running[task_id]
            self._free_gpus += gpus
            self._free_cpus += task.cpus
        found |= self._look_at_adopted(batches, found)
        self._start()
        for task in self._waiting:
            found[task.batch.token, task.index] = State(
                "PENDING", f"{WAITING}:{task.batch.token}:{task.index}"
            )
        return found

    def _look_at_adopted(self, batches: Iterable[Batch], own: States) -> States:
        """Find tasks that an earlier main process started: they take room, too."""
        found: dict[TaskId, State] = {}
        self._adopted.clear()
        for batch in batches:
            cpus = min(int(batch.parameters.get("cpus_per_task", 1)), self.cpus)
            for index in range(len(batch.tasks)):
                if (batch.token, index) in own or (pid := adopted_pid(batch, index)) is None:
                    continue
                found[batch.token, index] = State("RUNNING", str(pid))
                self._adopted[batch.token, index] = (cpus, visible_gpus(pid))
        return found

    def ended(self, tasks: Mapping[TaskId, str]) -> States:
        return {}

    def cancel(self, job_ids: Iterable[str]) -> None:
        ids = set(job_ids)
        self._waiting = deque(t for t in self._waiting if f"{WAITING}:{t.batch.token}:{t.index}" not in ids)
        for job_id in ids:
            if job_id.isdigit():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(job_id), signal.SIGTERM)


def adopted_pid(batch: Batch, index: int) -> int | None:
    """Return the controller of a task that an earlier main process started, None if it does not run."""
    owner = batch.claimed_by(index) or ""
    if not owner.startswith("local-"):
        return None
    pid = int(owner.removeprefix("local-"))
    command = processes.arguments(pid)
    return pid if b"submitit.local._local" in command and os.fsencode(batch.path) in command else None


def visible_gpus(pid: int) -> list[str]:
    """Return the GPUs that a controller's command was given."""
    for variable in processes.environment(pid):
        if variable.startswith(b"SUBMITIT_LOCAL_COMMAND=env CUDA_VISIBLE_DEVICES="):
            return [name for name in shlex.split(variable.decode())[1].partition("=")[2].split(",") if name]
    return []


def gpus_wanted(parameters: Mapping[str, Any]) -> int:
    """Return an allocation's number of GPUs, from gpus_per_node or gres (gpu, gpu:2, gpu:a100:2)."""
    if "gpus_per_node" in parameters:
        return int(parameters["gpus_per_node"])
    for part in str(parameters.get("gres", "")).split(","):
        words = part.split(":")
        if words[0] == "gpu":
            return int(words[-1]) if words[-1].isdigit() else 1
    return 0


def gpu_names(setting: str | None) -> list[str]:
    """Return the GPUs to share out: the setting, else CUDA_VISIBLE_DEVICES, else what nvidia-smi lists.

    One that is named twice is two places.
    """
    named = setting if setting is not None else os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(number) for number, _ in enumerate(listed.splitlines())]
