"""Taking over what an earlier main process left: finished, running or queued jobs, none run twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from . import command
from .allocation.claim import TOMBSTONE
from .clusters.base import Cluster, NoAnswer, State, States
from .journal import Batch, Journal

CANCEL_PATIENCE_S = 90.0


class Adoption:
    """Finds a job's task in the journal as it was when this main process started."""

    def __init__(self, journal: Journal, cluster: Cluster, say: Callable[[str], None]) -> None:
        self.cluster, self.say = cluster, say
        self._left = journal.open_tasks()
        self._states: States | None = None

    def find(self, job: Any, persistence: Any) -> tuple[Batch, int] | None:
        """The task that already does this job, None if it must be submitted.

        A task counts only if Snakemake's mark on the job's outputs bears its batch's token: a job
        that was dealt with has no mark any more, so that forcing it runs it again.
        """
        if not self._left:
            return None
        key = command.key(job)
        for token in self._tokens(job, persistence, key):
            entry = self._left.pop((token, key), None)
            if entry is None:
                continue
            if self._goes_on(job, *entry):
                return entry
            entry[0].close(entry[1])
        return None

    def _tokens(self, job: Any, persistence: Any, key: str) -> list[str]:
        if not job.output:  # nothing to mark: the journal alone has to do
            return [token for token, other in self._left if other == key]
        members = list(job) if job.is_group() else [job]
        return sorted({token for member in members for token in persistence.external_jobids(member)})

    def _goes_on(self, job: Any, batch: Batch, index: int) -> bool:
        """Whether the task can stand for the job: it has succeeded, or will run or is running."""
        task, unchanged = batch.tasks[index], batch.tasks[index].digest == command.digest(job)
        verdict = batch.verdict(index)
        if verdict is not None:
            if verdict.succeeded and unchanged:
                self.say(f"{task.label} finished meanwhile (job {verdict.job_id}).")
                return True
            if not verdict.succeeded:
                self.say(f"{task.label} failed meanwhile ({task.log}); submitting it again.")
            return False
        state = self._state(batch, index)
        unchanged = unchanged and not batch.fenced(index)  # cancelled, but perhaps not gone yet
        if unchanged and state is not None and state.live and batch.claimed_by(index) != TOMBSTONE:
            self.say(f"{task.label} is {state.name.lower()} already (job {state.job_id}).")
            return True
        if batch.bury(index):  # it has not started, and now never will
            if state is not None and state.live:
                self._cancel(state)
            return False
        return self._started(job, batch, index, state, unchanged)

    def _started(self, job: Any, batch: Batch, index: int, state: State | None, unchanged: bool) -> bool:
        """The rest: an allocation has claimed it. It goes on, has died, or must stop."""
        if unchanged and (state is None or not state.live):
            state = self._refresh(batch, index)
            if batch.verdict(index) is not None:
                return self._goes_on(job, batch, index)
            if state is not None and state.live:
                return True
        if state is not None and state.live:
            why = "was cancelled" if batch.fenced(index) else "has changed since it started"
            self.say(f"{batch.tasks[index].label} {why}; waiting until job {state.job_id} is gone.")
            self._cancel(state)
            self._outwait(batch, index)
        batch.fence(index)
        return False

    def _outwait(self, batch: Batch, index: int) -> None:
        end = time.monotonic() + CANCEL_PATIENCE_S
        while time.monotonic() < end:
            state = self._refresh(batch, index)
            if state is None or not state.live:
                return
            time.sleep(2)

    def _cancel(self, state: State) -> None:
        try:
            self.cluster.cancel([state.job_id])
        except NoAnswer as trouble:
            self.say(f"could not cancel job {state.job_id}: {trouble}")

    def _state(self, batch: Batch, index: int) -> State | None:
        if self._states is None:
            batches = {b.token: b for b, _ in [(batch, index), *self._left.values()]}
            self._states = self._ask(list(batches.values()))
        return self._states.get((batch.token, index))

    def _refresh(self, batch: Batch, index: int) -> State | None:
        return self._ask([batch]).get((batch.token, index))

    def _ask(self, batches: list[Batch]) -> States:
        """The cluster's answer, however long it takes: guessing could run a job twice."""
        pause = 5.0
        while True:
            try:
                return self.cluster.states(batches)
            except NoAnswer as trouble:
                self.say(
                    f"Jobs of an earlier start may still run, and the cluster does not answer: {trouble}"
                )
                time.sleep(pause)
                pause = min(2 * pause, 60.0)
