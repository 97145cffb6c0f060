"""Gather jobs with equal resources into arrays, and get those past sbatch.

A batch is open while jobs are added to it, is sealed (its intent written), and is then submitted in
arrays no larger than the cluster allows. What a full queue does not take stays together and waits at a
gate (`gates.py`), however long. Anything else that SLURM refuses is tried again with patience if it had
trouble, and given up if the request is wrong.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .clusters.base import Cluster, NoAnswer, Refused
from .gates import Gate
from .journal import Batch
from .tickets import Ticket

PAUSE_S, LONGEST_PAUSE_S = 3.0, 60.0
LARGEST_BATCH = 1000  # jobs: each task reads its batch's description, which takes longer the more there are

Kind = tuple[Any, ...]  # what limits are set on: partition, account and QOS


@dataclass
class Piece:
    """Tasks of a batch that are yet to be submitted."""

    batch: Batch
    tickets: list[Ticket]  # of consecutive tasks
    since: float | None = None  # of the first refusal
    due: float = 0.0
    pause: float = PAUSE_S
    largest: int | None = None  # an array that was refused for its size was larger
    unsure: int = 0  # so many tasks may have gone through at the last attempt
    told: str = ""

    @property
    def first(self) -> int:
        return self.tickets[0].index

    @property
    def allocations(self) -> int:
        """How many allocations the tasks are to have: one each, or a pack of them one."""
        return math.ceil(len(self.tickets) / self.batch.tasks_per_allocation)

    @property
    def kind(self) -> Kind:
        return kind(self.batch)


def kind(batch: Batch) -> Kind:
    """Return what decides which limits hold for the batch's jobs."""
    return tuple(batch.parameters.get(name) for name in ("partition", "account", "qos"))


class Desk:
    """The queue of what is yet to be submitted."""

    def __init__(
        self,
        cluster: Cluster,
        patience_s: float,
        say: Callable[[str], None],
        may_submit: Callable[[], bool],
        pack_wait_s: float = 0.0,
    ) -> None:
        self.pack_wait_s = pack_wait_s
        self._latest: dict[Any, float] = {}  # when a job was last added to an open batch
        self.cluster, self.patience_s, self.say, self.may_submit = cluster, patience_s, say, may_submit
        self.pieces: list[Piece] = []
        self._open: dict[Any, tuple[Batch, list[Ticket]]] = {}
        self._told = ""
        self._compared: set[str] = set()
        self._gates: dict[Kind, Gate] = {}
        self._alive_jobs: dict[
            Kind, float
        ] = {}  # this sweep's in the cluster's queue; a packed task is part of one

    def open_batch(self, group: Any, create: Callable[[], Batch]) -> Batch:
        """Return the batch that takes jobs of this kind; `create` makes it if there is none."""
        if group in self._open and len(self._open[group][1]) >= LARGEST_BATCH:
            full = self._open.pop(group)
            self._open[group, full[0].token] = full
        if group not in self._open:
            self._open[group] = (create(), [])
        return self._open[group][0]

    def add(self, group: Any, ticket: Ticket) -> None:
        """Add a job to the open batch of its kind."""
        self._open[group][1].append(ticket)
        self._latest[group] = time.monotonic()

    def seal(self) -> None:
        """Write down what is about to be submitted, so that a later main process knows of it.

        Where jobs wait at a gate, later ones of that kind stay open, so that they become one array.
        """
        shut = {piece.kind for piece in self.pieces if self._gate(piece).places is not None}
        for group, (batch, tickets) in list(self._open.items()):
            if kind(batch) in shut or self._waits_for_company(group, batch, tickets):
                continue
            if tickets:
                if len(tickets) == 1:
                    batch.pack = (
                        None  # a pack of one is a job like any other, and SLURM's word about it is its own
                    )
                try:
                    batch.write_intent()
                except OSError as trouble:  # it stays open; the others are not held up by it
                    self._tell_unsealed(batch, trouble.strerror or str(trouble))
                    continue
                self.pieces.append(Piece(batch, tickets))
            del self._open[group]

    def _waits_for_company(self, group: Any, batch: Batch, tickets: list[Ticket]) -> bool:
        """Return whether a pack has places left, and jobs came a moment ago that others may follow."""
        if batch.pack is None or len(tickets) % batch.pack["slots"] == 0:
            return False
        return time.monotonic() - self._latest.get(group, -math.inf) < self.pack_wait_s

    def _alive(self, of: Kind) -> int:
        return math.ceil(self._alive_jobs.get(of, 0) - 1e-6)

    def _tell_unsealed(self, batch: Batch, trouble: str) -> None:
        if trouble != self._told:
            self.say(
                f"Jobs ({batch.label}) cannot be recorded on disk, so they are not submitted yet: {trouble}"
            )
            self._told = trouble

    def unsubmitted(self) -> list[Ticket]:
        """Return every job that is not submitted yet."""
        sealed = [t for piece in self.pieces for t in piece.tickets]
        return sealed + [t for _, tickets in self._open.values() for t in tickets]

    @property
    def limited(self) -> bool:
        """Whether jobs wait at a gate."""
        return any(self._gate(piece).places is not None for piece in self.pieces)

    def submit_due(self, others_running: bool, alive: Iterable[Ticket] = ()) -> None:
        """Try each piece whose time has come. With `others_running` waiting may help against trouble.

        `alive` are the sweep's jobs that are submitted and not over.
        """
        self._alive_jobs = defaultdict(float)
        for ticket in alive:
            self._alive_jobs[kind(ticket.batch)] += 1 / ticket.batch.tasks_per_allocation
        try:
            for piece in list(self.pieces):
                while piece.tickets and piece.due <= time.monotonic() and self.may_submit():
                    if not self._try(piece, others_running):
                        break
        finally:
            self.pieces = [piece for piece in self.pieces if piece.tickets]

    def _gate(self, piece: Piece) -> Gate:
        return self._gates.setdefault(piece.kind, Gate())

    def _try(self, piece: Piece, others_running: bool) -> bool:
        """Submit the next allocations of a piece. Return whether to go on with it at once."""
        count = 0
        try:
            count = piece.unsure or self._next_size(piece)
            if count:
                self._submit(piece, count)
            return bool(count)
        except Refused as refusal:
            piece.unsure = 0 if refusal.certain else piece.unsure
            if refusal.too_many and count > 1:
                piece.largest = (count + 1) // 2
                return True
            if refusal.full:
                return self._wait_for_room(piece, count, refusal)
            if refusal.final:
                self._give_up(piece, str(refusal))
            else:
                self._postpone(piece, str(refusal), others_running)
        except (NoAnswer, OSError) as trouble:
            self._postpone(piece, str(trouble), others_running)
        return False

    def _next_size(self, piece: Piece) -> int:
        """Return how many allocations of the piece to submit now, 0 to wait."""
        gate, alive, now = self._gate(piece), self._alive(piece.kind), time.monotonic()
        largest = min(self.cluster.largest(), piece.largest or piece.allocations)
        if now >= gate.look_at:
            asked = self.cluster.allowance(piece.batch, gate.name) if gate.limit is not None else None
            gate.look_again(alive, asked, now)
        return min(largest, gate.let_through(piece.allocations, alive, now))

    def _submit(self, piece: Piece, count: int) -> None:
        tickets = piece.tickets[: count * piece.batch.tasks_per_allocation]
        job_id = self.cluster.find(piece.batch, piece.first) if piece.unsure else None
        if job_id is None:
            self._compare(piece.batch)
            piece.unsure = count
            job_id = self.cluster.submit(piece.batch, piece.first, len(tickets))
            verb = "Submitted"
        else:
            verb = "Found, after all,"
        packed = piece.batch.pack is not None
        piece.batch.add_array(job_id, piece.first, len(tickets) if packed else None)
        for offset, ticket in enumerate(tickets):
            ticket.job_id = self.cluster.task_id(job_id, offset)
        piece.tickets, piece.unsure, piece.since = piece.tickets[len(tickets) :], 0, None
        self._alive_jobs[piece.kind] = self._alive_jobs.get(piece.kind, 0) + count
        self._gate(piece).passed(self._alive(piece.kind), time.monotonic())
        noun = "job" if len(tickets) == 1 else "jobs"
        places = f", packed into {count} allocation{'' if count == 1 else 's'}" if packed else ""
        self.say(f"{verb} {len(tickets)} {noun} as {job_id} ({piece.batch.label}{places}).")

    def _compare(self, batch: Batch) -> None:
        """Say once for an array what it asks for and can never get."""
        if batch.token not in self._compared:
            self._compared.add(batch.token)
            if objections := self.cluster.objections(batch):
                self.say(f"Jobs ({batch.label}) may never start: {'; '.join(objections)}.")

    def _wait_for_room(self, piece: Piece, count: int, refusal: Refused) -> bool:
        """Leave the piece at its gate. Return whether fewer jobs may pass at once."""
        gate, alive, now = self._gate(piece), self._alive(piece.kind), time.monotonic()
        if refusal.vague and count == 1 and not self._has_company():
            del self._gates[piece.kind]  # there never was a limit that passes
            self._give_up(piece, str(refusal))
            return False
        known = gate.limit is not None or not gate.asked
        allowed = self.cluster.allowance(piece.batch, refusal.limit) if known else None
        if allowed is not None and allowed.limit == 0:
            self._give_up(piece, f"{refusal} (it allows no job at all)")
            return False
        gate.full(count, alive, allowed, now)
        gate.name = refusal.limit
        if not gate.told:
            gate.told = True
            what = refusal.limit or str(refusal).splitlines()[-1]
            allows = f" (at most {gate.limit} jobs in the queue)" if gate.limit is not None else ""
            self.say(f"{len(piece.tickets)} jobs ({piece.batch.label}) wait for room: {what}{allows}")
        return (gate.places or 0) > alive

    def _has_company(self) -> bool:
        """Return whether any job of the user's could be what fills the queue."""
        try:
            return self.cluster.anything_queued()
        except NoAnswer:
            return True

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

    def _give_up(self, piece: Piece, why: str) -> None:
        self.say(f"{len(piece.tickets)} jobs ({piece.batch.label}) could not be submitted: {why}")
        for ticket in piece.tickets:
            ticket.batch.bury(ticket.index)  # should it have gone through after all, nothing may start
            ticket.failure = f"{ticket.task.label} could not be submitted: {why.splitlines()[0]}"
        piece.tickets = []

    def drop(self) -> list[Ticket]:
        """Forget everything that is not submitted, and return its jobs."""
        dropped = self.unsubmitted()
        self.pieces.clear()
        self._open.clear()
        return dropped
