"""Gather jobs with equal resources into arrays, and get those past sbatch.

A batch is open while jobs are added to it, is sealed (its intent written), and is then submitted in
pieces no larger than the cluster allows. A refused piece is halved if it was too many, tried again
with patience if SLURM had trouble, and given up if the request is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .clusters.base import Cluster, NoAnswer, Refused
from .journal import Batch
from .tickets import Ticket

PAUSE_S, LONGEST_PAUSE_S = 3.0, 60.0


@dataclass
class Piece:
    """Tasks of a batch that one sbatch is to submit."""

    batch: Batch
    tickets: list[Ticket]  # of consecutive tasks
    since: float | None = None  # of the first refusal
    due: float = 0.0
    pause: float = PAUSE_S
    unsure: bool = False  # the last attempt may have gone through
    told: str = ""

    @property
    def first(self) -> int:
        return self.tickets[0].index

    def split(self, size: int) -> list[Piece]:
        """Return the piece cut into pieces of at most `size` tasks."""
        parts = [self.tickets[i : i + size] for i in range(0, len(self.tickets), size)]
        return [Piece(self.batch, part) for part in parts]


class Desk:
    """The queue of what is yet to be submitted."""

    def __init__(
        self, cluster: Cluster, patience_s: float, say: Callable[[str], None], may_submit: Callable[[], bool]
    ) -> None:
        self.cluster, self.patience_s, self.say, self.may_submit = cluster, patience_s, say, may_submit
        self.pieces: list[Piece] = []
        self._open: dict[Any, tuple[Batch, list[Ticket]]] = {}
        self._told = ""

    def open_batch(self, group: Any, create: Callable[[], Batch]) -> Batch:
        """Return the batch that takes jobs of this kind; `create` makes it if there is none."""
        if group not in self._open:
            self._open[group] = (create(), [])
        return self._open[group][0]

    def add(self, group: Any, ticket: Ticket) -> None:
        """Add a job to the open batch of its kind."""
        self._open[group][1].append(ticket)

    def seal(self) -> None:
        """Write down what is about to be submitted, so that a later main process knows of it."""
        for group, (batch, tickets) in list(self._open.items()):
            if tickets:
                try:
                    batch.write_intent()
                except OSError as trouble:  # it stays open; the others are not held up by it
                    self._tell_unsealed(batch, trouble.strerror or str(trouble))
                    continue
                self.pieces.append(Piece(batch, tickets))
            del self._open[group]

    def _tell_unsealed(self, batch: Batch, trouble: str) -> None:
        if trouble != self._told:
            self.say(f"Jobs ({batch.label}) cannot be written down, and so not submitted yet: {trouble}")
            self._told = trouble

    def unsealed(self) -> list[Ticket]:
        """Return the jobs of batches that are not written down, of which no cluster can know."""
        return [ticket for _, tickets in self._open.values() for ticket in tickets]

    def submit_due(self, others_running: bool) -> None:
        """Try each piece whose time has come. With `others_running` waiting may make room."""
        queue, self.pieces = self.pieces, []
        while queue:
            piece = queue.pop(0)
            if piece.due > time.monotonic() or not self.may_submit():
                self.pieces.append(piece)
                continue
            try:
                largest = self.cluster.largest()
                if len(piece.tickets) > largest:
                    queue = piece.split(largest) + queue
                    continue
                self._submit(piece)
            except Refused as refusal:
                if refusal.too_many and len(piece.tickets) > 1:
                    queue = piece.split((len(piece.tickets) + 1) // 2) + queue
                elif refusal.final:
                    self._give_up(piece, str(refusal))
                else:
                    self._postpone(piece, str(refusal), others_running)
            except (NoAnswer, OSError) as trouble:  # the disk may be full: it may have gone through, too
                self._postpone(piece, str(trouble), others_running)

    def _submit(self, piece: Piece) -> None:
        count = len(piece.tickets)
        job_id = self.cluster.find(piece.batch, piece.first) if piece.unsure else None
        if job_id is None:
            piece.unsure = True
            job_id = self.cluster.submit(piece.batch, piece.first, count)
            verb = "Submitted"
        else:
            verb = "Found, after all,"
        piece.batch.add_array(job_id)
        for offset, ticket in enumerate(piece.tickets):
            ticket.job_id = self.cluster.task_id(job_id, offset)
        noun = "job" if count == 1 else "jobs"
        self.say(f"{verb} {count} {noun} as {job_id} ({piece.batch.label}).")

    def _postpone(self, piece: Piece, trouble: str, others_running: bool) -> None:
        now = time.monotonic()
        piece.since = now if piece.since is None or others_running else piece.since
        if now - piece.since > self.patience_s:
            self._give_up(piece, f"{trouble} (for {self.patience_s:.0f} s)")
            return
        if trouble != piece.told:
            self.say(f"{len(piece.tickets)} jobs ({piece.batch.label}) not submitted yet: {trouble}")
            piece.told = trouble
        piece.due, piece.pause = now + piece.pause, min(2 * piece.pause, LONGEST_PAUSE_S)
        self.pieces.append(piece)

    def _give_up(self, piece: Piece, why: str) -> None:
        self.say(f"{len(piece.tickets)} jobs ({piece.batch.label}) could not be submitted: {why}")
        for ticket in piece.tickets:
            ticket.batch.bury(ticket.index)  # should it have gone through after all, nothing may start
            ticket.failure = f"{ticket.task.label} could not be submitted: {why.splitlines()[0]}"

    def drop(self) -> list[Ticket]:
        """Forget everything that is not submitted, and return its jobs."""
        dropped = [t for piece in self.pieces for t in piece.tickets]
        dropped += self.unsealed()
        self.pieces.clear()
        self._open.clear()
        return dropped
