"""Find out what became of submitted jobs: look at verdict files often, ask the cluster seldom."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from . import failure
from .again import ENDED_BY_SLURM
from .allocation.claim import TOMBSTONE
from .allocation.verdict import Verdict
from .clusters.base import Cluster, NoAnswer, State
from .reasons import Reasons
from .tickets import MOST_UNBEGUN, Ticket

LONGEST_INTERVAL_S = 60.0  # between two questions, while nothing changes
LIMITED_INTERVAL_S = (
    30.0  # at least, while a limit keeps jobs out: more of the same come for long, and in parts
)
GRACE_S = 10.0  # for a verdict to arrive once the cluster says that a job is over
SHORT_GRACE_S = 4.0  # where none is to be expected
NO_VERDICT_EXPECTED = ("CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE")
# So ends an allocation whose node cannot start its script, and one that a signal meets in its first milliseconds.
MAY_NOT_HAVE_BEGUN = ("FAILED",)
OF_EACH_MEMBER = ("CANCELLED", "TIMEOUT", "DEADLINE")  # how all that a pack runs ends with it
COME_BACK_GRACE_S = 20.0  # such a state may pass into PENDING where the cluster requeues
LOST_POLLS = 3  # answers without a job before it counts as lost
HURRY_AGAIN_S = 30.0  # a requeued job that was told to start at once is told again after so long


class Watch:
    """Follows tickets to their end. Asks the cluster for all of them in one call."""

    def __init__(
        self,
        cluster: Cluster,
        floor_s: float,
        requeue_wait: bool,
        latency_s: float,
        say: Callable[[str], None],
    ) -> None:
        self.cluster, self.floor_s, self.requeue_wait, self.say = cluster, floor_s, requeue_wait, say
        self.reasons = Reasons(cluster, say)
        self.grace_s = GRACE_S + latency_s
        self._next_poll, self._last_poll = math.inf, -math.inf
        self._last_change = time.monotonic()
        self._silence = 0  # questions in a row without an answer
        self.limited = False  # whether a limit keeps jobs of the sweep out of the queue
        self._accounting_missing = False

    def changed(self) -> None:
        """Ask the cluster again before long, for something happened."""
        self._last_change = time.monotonic()
        self._ask_after(self.floor_s)

    def submitted(self) -> None:
        """Ask about new jobs before long; where a limit lets them in by parts, not for each part."""
        self._last_change = time.monotonic()
        self._ask_after(LIMITED_INTERVAL_S if self.limited else self.floor_s)

    def _ask_after(self, since_last_s: float) -> None:
        soon = min(self._next_poll, time.monotonic() + self.floor_s)
        self._next_poll = max(self._last_poll + max(self.floor_s, since_last_s), soon)

    def look(self, tickets: Iterable[Ticket]) -> None:
        """Settle every ticket whose end is known by now."""
        waiting = [t for t in tickets if not t.over and not t.displaced]
        by_batch: dict[str, list[Ticket]] = defaultdict(list)
        for ticket in waiting:
            by_batch[ticket.batch.token].append(ticket)
        for group in by_batch.values():
            verdicts = group[0].batch.verdicts()
            for ticket in group:
                if ticket.index in verdicts and (verdict := ticket.batch.verdict(ticket.index)) is not None:
                    self._settle(ticket, verdict)
        waiting = [t for t in waiting if not t.over and not t.displaced]
        if waiting and (self.cluster.cheap or time.monotonic() >= self._next_poll):
            self._poll(waiting)

    def _settle(self, ticket: Ticket, verdict: Verdict) -> None:
        if verdict.succeeded:
            self._last_change, ticket.succeeded = time.monotonic(), True
        elif self.cluster.cheap or not (self._slurm_knows_more(ticket, verdict) or verdict.interrupted):
            self.fail(ticket, verdict)
        elif ticket.ended_since is None:
            # Killed: was it for its memory? Interrupted: was it cancelled? SLURM knows, a moment later.
            ticket.ended_since = time.monotonic()
            self.changed()
        elif self._state_is_in(ticket):
            self._displace_or_fail(ticket, verdict)

    def _slurm_knows_more(self, ticket: Ticket, verdict: Verdict) -> bool:
        """Return whether the job's state tells why the command was killed. A pack's tells nothing of a member."""
        return verdict.exit_code > 128 and ticket.batch.pack is None

    def _state_is_in(self, ticket: Ticket) -> bool:
        known = ticket.state is not None and not ticket.state.live
        return known or time.monotonic() - (ticket.ended_since or 0.0) > self.grace_s

    def _poll(self, tickets: list[Ticket]) -> None:
        self._last_poll = time.monotonic()
        try:
            states = self.cluster.states({t.batch.token: t.batch for t in tickets}.values())
        except NoAnswer as trouble:
            self._silence += 1
            pause = min(self.floor_s * 2**self._silence, LONGEST_INTERVAL_S)
            if self._silence == 1:
                self.say(f"The cluster does not answer, trying again: {trouble}")
            self._next_poll = time.monotonic() + pause
            return
        if self._silence:
            self.say("The cluster answers again.")
        self._silence = 0
        for ticket in tickets:
            self._note(ticket, states.get(ticket.id))
        self.reasons.tell(tickets)
        self._ask_accounting(tickets)
        self._hurry(tickets)
        self._release(tickets)
        for ticket in tickets:
            self._judge(ticket)
        quiet = time.monotonic() - self._last_change
        pause = max(self.floor_s, min(quiet / 10, LONGEST_INTERVAL_S))
        if self.limited and all(ticket.ended_since is None for ticket in tickets):
            pause = max(pause, LIMITED_INTERVAL_S)
        self._next_poll = time.monotonic() + pause

    def _note(self, ticket: Ticket, state: State | None) -> None:
        if state is None:
            ticket.absent_polls += 1
            return
        if ticket.state is None or ticket.state.name != state.name:
            self._last_change = time.monotonic()
        ticket.state, ticket.job_id, ticket.absent_polls = state, state.job_id, 0
        if state.live:
            ticket.ended_since = None

    def _ask_accounting(self, tickets: list[Ticket]) -> None:
        """Ask accounting about the jobs that squeue has forgotten, all in one call."""
        lost = {t.id: t.job_id for t in tickets if t.absent_polls >= LOST_POLLS - 1 and t.job_id}
        if not lost or self._accounting_missing:
            return
        try:
            ended = self.cluster.ended(lost)
        except NoAnswer as trouble:
            self._accounting_missing = "not on PATH" in str(trouble)
            self.say(f"Accounting does not answer ({trouble}); using squeue alone.")
            return
        for ticket in tickets:
            if (state := ended.get(ticket.id)) is not None:
                if ticket.ended_since is None and state.live:
                    continue
                ticket.state, ticket.absent_polls = state, max(ticket.absent_polls, LOST_POLLS)

    def _hurry(self, tickets: list[Ticket]) -> None:
        """Let requeued jobs start at once, except those that wait for another process.

        Each is told once and then left alone for a while: SLURM shows the old reason until it has looked
        at the job again, and to be told anew puts its start off.
        """
        if self.requeue_wait:
            return
        now = time.monotonic()
        late = [
            t
            for t in tickets
            if t.state is not None
            and t.state.name == "PENDING"
            and t.state.reason == "BeginTime"
            and now - t.hurried_at > HURRY_AGAIN_S
            and not t.batch.waits_for_another(t.index)
        ]
        if late:
            try:
                self.cluster.hurry([t.job_id for t in late])
                for ticket in late:
                    ticket.hurried_at = now
            except NoAnswer as trouble:
                self.say(f"Requeued jobs start two minutes late, as SLURM did not release them: {trouble}")

    def _release(self, tickets: list[Ticket]) -> None:
        """Let go what SLURM holds because a node failed to start it: nobody else would."""
        held = [ticket for ticket in tickets if ticket.releasable]
        if held:
            try:
                self.cluster.release([t.job_id for t in held])
            except NoAnswer as trouble:
                self.say(f"{len(held)} jobs that a node failed to start are still held: {trouble}")
                return
            for ticket in held:
                ticket.releases += 1
            self.changed()

    def _judge(self, ticket: Ticket) -> None:
        """Fail a ticket that the cluster says is over, once a verdict has had time to arrive."""
        state, now = ticket.state, time.monotonic()
        if ticket.over or (state is not None and state.live and ticket.absent_polls < LOST_POLLS):
            return
        if state is None and ticket.absent_polls < LOST_POLLS:
            return
        if ticket.ended_since is None:
            ticket.ended_since = now
        grace = self.grace_s
        if state is not None and state.name in ENDED_BY_SLURM:
            grace = max(grace, COME_BACK_GRACE_S)
        if state is not None and state.name in NO_VERDICT_EXPECTED:
            grace = SHORT_GRACE_S
        if now - ticket.ended_since < grace:
            return
        if (verdict := ticket.batch.verdict(ticket.index)) is not None:
            self._settle(ticket, verdict)
            return
        if state is None or state.live:
            ticket.state = State("LOST", ticket.job_id)
        self._displace_or_fail(ticket, None)

    def _displace_or_fail(self, ticket: Ticket, verdict: Verdict | None) -> None:
        """Settle an end that may be SLURM's doing rather than the job's: then it is to be submitted again."""
        name = ticket.state.name if ticket.state is not None else ""
        if name == "COMPLETED" and verdict is None and ticket.batch.claimed_by(ticket.index) == TOMBSTONE:
            name, ticket.state = (
                "CANCELLED",
                State("CANCELLED", ticket.job_id),
            )  # by name, before it could begin
        interrupted = verdict is not None and verdict.interrupted and name not in NO_VERDICT_EXPECTED
        # A pack that ended without a word about a member did not come to it, or was ended with others' in mind.
        left_out = ticket.batch.pack is not None and verdict is None and name not in OF_EACH_MEMBER
        if verdict is None and name in MAY_NOT_HAVE_BEGUN and self._never_began(ticket):
            ticket.unbegun += 1
            left_out = ticket.unbegun <= MOST_UNBEGUN
        if interrupted or left_out or name in ENDED_BY_SLURM:
            ticket.displaced = True
        else:
            if verdict is None:
                ticket.batch.end(ticket.index)
            self.fail(ticket, verdict)

    def _never_began(self, ticket: Ticket) -> bool:
        """Return whether nothing of the task has run; from then on nothing can.

        A member that waits on the list of a pack which works is not what failed.
        """
        batch = ticket.batch
        return (batch.pack is None or not batch.has_packs_at_work()) and batch.bury(ticket.index)

    def fail(self, ticket: Ticket, verdict: Verdict | None, note: str = "") -> None:
        """Count the ticket as failed and say why; `note` is what else there is to say."""
        ticket.displaced = False
        ticket.failure = failure.block(
            ticket.task.label, verdict, ticket.state, ticket.logs, ticket.boot, note
        )
