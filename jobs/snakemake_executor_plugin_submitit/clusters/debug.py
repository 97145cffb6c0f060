"""Run tasks in the foreground, one at a time, through submitit's debug executor."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Iterable, Mapping

import submitit

from ..journal import Batch
from .base import Cluster, State, States, TaskId
from .local import task_command


def run(command: list[str]) -> int:
    """Run a task to its end and return its exit code."""
    return subprocess.run(command, check=False).returncode


class DebugCluster(Cluster):
    """Runs the next task whenever it is asked for states."""

    cheap = True

    def __init__(self) -> None:
        self._waiting: deque[tuple[Batch, int]] = deque()

    def largest(self) -> int:
        return 1_000_000

    def submit(self, batch: Batch, first: int, count: int) -> str:
        self._waiting.extend((batch, index) for index in range(first, first + count))
        return "debug"

    def find(self, batch: Batch, first: int) -> str | None:
        return None

    def states(self, batches: Iterable[Batch]) -> States:
        ended: dict[TaskId, State] = {}
        if self._waiting:
            batch, index = self._waiting.popleft()
            code = submitit.DebugExecutor(batch.path).submit(run, task_command(batch, index)).result()
            ended[batch.token, index] = State("COMPLETED" if code == 0 else "FAILED", "debug")
        return ended | {(b.token, i): State("PENDING", "debug") for b, i in self._waiting}

    def ended(self, tasks: Mapping[TaskId, str]) -> States:
        return {}

    def cancel(self, job_ids: Iterable[str]) -> None:
        self._waiting.clear()
