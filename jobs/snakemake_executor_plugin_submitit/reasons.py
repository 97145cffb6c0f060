"""Report why jobs wait that will not start by themselves: one line for each array and reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .clusters.base import Cluster
from .tickets import Ticket

HELD = re.compile(
    r"JobHeld(User|Admin)|JobHoldMaxRequeue|launch failed requeued held|job requeued in held state",
    re.IGNORECASE,
)
NEVER = re.compile(
    r"Partition(TimeLimit|NodeLimit|Config)|BadConstraints|DependencyNeverSatisfied|ReservationDeleted"
    r"|(Account|QOS)NotAllowed|Invalid(Account|QOS)|(Assoc|QOS)\w*(PerJob|MaxWall|Min)\w*",
    re.IGNORECASE,
)
WAITING = ("PENDING", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")
LIMITED = re.compile(r"(Assoc|QOS)\w*Max\w*", re.IGNORECASE)


class Reasons:
    """Remembers what was said."""

    def __init__(self, cluster: Cluster, say: Callable[[str], None]) -> None:
        self.cluster, self.say = cluster, say
        self._told: set[tuple[str, str]] = set()

    def tell(self, tickets: Iterable[Ticket]) -> None:
        """Say what is new about jobs that are held, can never start, or are kept back by a limit."""
        waiting: dict[tuple[str, str], list[Ticket]] = {}
        for ticket in tickets:
            state = ticket.state
            if ticket.over or ticket.releasable or state is None or state.name not in WAITING:
                continue
            if HELD.match(state.reason) or NEVER.match(state.reason) or LIMITED.match(state.reason):
                waiting.setdefault((ticket.batch.token, state.reason), []).append(ticket)
        for key in [key for key in waiting if key not in self._told]:
            self._told.add(key)
            self.say(self._line(waiting[key], key[1]))

    def _line(self, tickets: list[Ticket], reason: str) -> str:
        ids = " ".join(dict.fromkeys(ticket.job_id.partition("_")[0] for ticket in tickets))
        who = tickets[0].task.label if len(tickets) == 1 else f"{len(tickets)} jobs"
        who += f" ({tickets[0].batch.label}, {ids})"
        verb = "is" if len(tickets) == 1 else "are"
        if HELD.match(reason):
            return f"{who} {verb} held: {reason}. Release with `scontrol release {ids}`."
        allowed = self.cluster.allows(tickets[0].batch, reason)
        more = f" {allowed}." if allowed else ""
        if NEVER.match(reason):
            return f"{who} cannot start as requested: {reason}.{more} Change the request and start again."
        return f"{who} {verb} waiting because of a limit: {reason}.{more}"
