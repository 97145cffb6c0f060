"""Take over what an earlier main process left: finished, running and queued jobs, none of which runs twice."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import command
from .allocation.claim import TOMBSTONE
from .allocation.files import file_system_time
from .clusters.base import Cluster, NoAnswer, State, States
from .journal import Batch, Journal

STOP_PATIENCE_S = 90.0  # for jobs to go that must not run beside their successors
BETWEEN_QUESTIONS_S = 5.0

Entry = tuple[Batch, int]


class Adoption:
    """Finds a job's task in the journal as it was when this main process started."""

    def __init__(
        self, journal: Journal, cluster: Cluster, say: Callable[[str], None], request: Callable[[Any], str]
    ) -> None:
        """`request` returns a digest of what a job asks of the cluster, as it is written into the journal."""
        self.journal, self.cluster, self.say, self.request = journal, cluster, say, request
        self._left = journal.open_tasks()
        self._batches = list({batch.token: batch for batch, _ in self._left.values()}.values())
        self._states: States = {}
        self._asked = -math.inf
        self._answer_time = -math.inf  # at least; by the file system's clock

    def stop_unwanted(self, jobs: Iterable[Any], persistence: Any) -> None:
        """Make sure that nothing runs any more of those jobs whose task cannot stand for them.

        They were cancelled, but may be saving still, or their command has changed meanwhile, or they
        still wait with a request that has changed. One call cancels all of them.
        """
        unwanted, buried, corrected = [], [], 0
        for job in jobs:
            for batch, index in self._entries(job, persistence):
                if batch.verdict(index) is not None:
                    continue
                wanted = batch.tasks[index].digest == command.digest(job) and not batch.fenced(index)
                if wanted and not self._waits_with_another_request(job, batch, index):
                    continue
                corrected += wanted
                if batch.bury(index):  # it can never start, and waits in vain
                    buried.append((batch, index))
                else:
                    batch.fence(index)
                    unwanted.append((batch, index))
        if corrected:
            self.say(f"{corrected} queued jobs now ask for other resources; submitting them again.")
        alone = [entry for entry in (*buried, *unwanted) if entry[0].pack is None]
        cancelled = self._live(alone)  # never a pack, in which others may run
        if live := self._live(unwanted):
            self.say(f"Waiting for {len(live)} earlier jobs to end, which were cancelled or have changed.")
        try:
            self.cluster.cancel([state.job_id for state in cancelled])
        except NoAnswer as trouble:
            self.say(f"Could not cancel earlier jobs, waiting for them to end: {trouble}")
        end = time.monotonic() + STOP_PATIENCE_S
        while self._live(unwanted) and time.monotonic() < end:
            time.sleep(1)

    def find(self, job: Any, persistence: Any) -> Entry | None:
        """Return the task that already does this job, None if the job must be submitted.

        A task counts only if Snakemake's mark on the job's outputs bears its batch's token: a job
        that was dealt with has no mark any more, so that forcing it runs it again.
        """
        for batch, index in self._entries(job, persistence):
            del self._left[batch.token, batch.tasks[index].key]
            if self._stands_for(job, batch, index):
                return batch, index
            batch.close(index)
        return None

    def _waits_with_another_request(self, job: Any, batch: Batch, index: int) -> bool:
        """Return whether the task is yet to start, by a request that the job would not make any more."""
        asked = batch.tasks[index].request
        if not asked or asked == self.request(job):
            return False
        state = self._state(batch, index)
        return state is not None and state.name == "PENDING"

    def _entries(self, job: Any, persistence: Any) -> list[Entry]:
        if not self._left:
            return []
        key = command.key(job)
        if not job.output:  # nothing to mark: the journal alone has to do
            return [entry for (_, other), entry in self._left.items() if other == key]
        members = list(job) if job.is_group() else [job]
        tokens = {token for member in members for token in persistence.external_jobids(member)}
        return [self._left[token, key] for token in sorted(tokens) if (token, key) in self._left]

    def _stands_for(self, job: Any, batch: Batch, index: int) -> bool:
        """Return whether the task has done the job, is doing it, or will do it."""
        task = batch.tasks[index]
        verdict = batch.verdict(index)
        wanted = task.digest == command.digest(job) and not batch.fenced(index)
        if verdict is None and wanted:
            state = self._state(batch, index)
            if state is not None and state.live and batch.claimed_by(index) != TOMBSTONE:
                self.say(f"{task.label} is {state.name.lower()} already (job {state.job_id}).")
                return True
            verdict = batch.verdict(index)  # it may have come while the cluster was asked
        if verdict is not None:
            if verdict.succeeded and task.digest == command.digest(job):
                self.say(f"{task.label} finished meanwhile (job {verdict.job_id}).")
                return True
            if not verdict.succeeded:
                self.say(f"{task.label} failed meanwhile ({task.log}); submitting it again.")
            return False
        if batch.bury(index):  # it has not started, and now never will
            return False
        return wanted and self._has_just_started(batch, index)

    def _has_just_started(self, batch: Batch, index: int) -> bool:
        """Return whether a claimed task that the last answer did not show has started since; else it is dead."""
        if batch.claimed_at(index) >= self._answer_time:
            self._asked = -math.inf
        state = self._state(batch, index)
        if batch.verdict(index) is not None or (state is not None and state.live):
            return True
        batch.fence(index)
        return False

    def _live(self, entries: Iterable[Entry]) -> list[State]:
        found = [self._state(*entry) for entry in entries]
        return [state for state in found if state is not None and state.live]

    def _state(self, batch: Batch, index: int) -> State | None:
        """Return what the cluster said about the task, a few seconds ago at most."""
        if time.monotonic() - self._asked > BETWEEN_QUESTIONS_S:
            before = file_system_time(self.journal.folder)
            self._states = self._ask()
            self._answer_time = before
            self._asked = time.monotonic()
        return self._states.get((batch.token, index))

    def _ask(self) -> States:
        """Wait for the cluster's answer, however long it takes: guessing could run a job twice."""
        pause = BETWEEN_QUESTIONS_S
        while True:
            try:
                return self.cluster.states(self._batches)
            except NoAnswer as trouble:
                self.say(
                    f"Jobs of an earlier start may still run, but the cluster does not answer. Trying again: {trouble}"
                )
                time.sleep(pause)
                pause = min(2 * pause, 60.0)
