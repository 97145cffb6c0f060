"""The number of jobs that may be submitted now, if association or QOS limit it.

Nothing is asked before a submission was refused. Then the limit is asked once, and jobs are submitted
as jobs of ours end: many at a time if they are short, soon if they are long. While others of the user's
jobs fill the queue, a slow clock looks again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .clusters.limits import Allowance

ENOUGH = 0.75  # the part of the places that, once free, is worth a submission at once
LONG_ENOUGH_S = 15.0  # after which any free place is
SETTLED_S = 1.0  # SLURM counts a job for a moment after its end
SHORTEST_CLOCK_S, LONGEST_CLOCK_S = 15.0, 300.0


@dataclass
class Gate:
    """What is known of the limit that holds for one partition, account and QOS. Times are monotonic."""

    places: int | None = None  # for jobs of this sweep; None while no limit has shown
    limit: int | None = None  # for all jobs that count against it, where that could be asked
    ceiling: int = 0  # where not: the least number of the sweep's jobs that was too much
    asked: bool = False
    name: str = ""  # the limit's, as SLURM calls it
    told: bool = False
    look_at: float = math.inf
    clock_s: float = SHORTEST_CLOCK_S
    _free: int = 0
    _free_since: float = 0.0
    _changed: float = 0.0

    def let_through(self, wanted: int, alive: int, now: float) -> int:
        """Return how many of the `wanted` jobs to submit now, `alive` of the sweep's being in the queue."""
        if self.places is None:
            return wanted
        free = self.places - alive
        if free <= 0:
            self._free = 0
            return 0
        if free != self._free:
            self._free_since = self._free_since if self._free else now
            self._free, self._changed = free, now
        worth_it = free >= min(wanted, ENOUGH * self.places) and now - self._changed >= SETTLED_S
        return min(free, wanted) if worth_it or now - self._free_since >= LONG_ENOUGH_S else 0

    def passed(self, alive: int, now: float) -> None:
        """Note that a submission went through; `alive` counts it."""
        self._free = 0
        if self.places is None:
            return
        if self.limit is None:
            self.places = max(self.places, (alive + self.ceiling) // 2)
        self.clock_s = SHORTEST_CLOCK_S
        self._wind(now)

    def full(self, tried: int, alive: int, allowed: Allowance | None, now: float) -> None:
        """Note that so many jobs were refused. What is allowed may not be known, or not be the whole truth."""
        self._free, self.asked = 0, True
        if allowed is not None and allowed.room < tried:
            self.limit, self.places = allowed.limit, alive + allowed.room
        else:
            self.limit, self.ceiling = None, alive + tried
            self.places = (alive + self.ceiling) // 2
        self._wind(now)

    def look_again(self, alive: int, allowed: Allowance | None, now: float) -> None:
        """Note what is allowed by now; where it cannot be known, hope for a little more."""
        if allowed is not None and self.limit is not None:
            self.limit, self.places = allowed.limit, alive + allowed.room
        else:
            self.ceiling = 2 * max(self.ceiling, alive, 1)
            self.places = max(self.places or 0, alive) + max(1, alive // 4)
        self._wind(now)

    def _wind(self, now: float) -> None:
        """Set the clock, unless every place that the limit has is ours already."""
        if self.limit is not None and (self.places or 0) >= self.limit:
            self.look_at = math.inf
            return
        self.look_at = now + self.clock_s
        self.clock_s = min(2 * self.clock_s, LONGEST_CLOCK_S)
