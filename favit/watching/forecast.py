"""The progress of a sweep, and when it will finish if as many runs as now continue side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from favit.watching.runs import Progress


@dataclass(frozen=True)
class Forecast:
    """share: of all epochs that are asked for. left: seconds to the end; None while nothing tells."""

    share: float
    counts: Counter[str]
    left: float | None

    @property
    def total(self) -> int:
        """Runs that are asked for."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Runs that have their result."""
        return self.counts["finished"] + self.counts["diverged"]


def forecast(runs: Sequence[Progress]) -> Forecast:
    """A sweep's, from its runs.

    A run that has not begun takes as long as those of its row (its seeds), else as rows do on average. The rest of the
    work is shared by as many as run now, and lasts at least as long as the longest of these.
    """
    epochs = sum(run.epochs for run in runs)
    share = sum(run.share * run.epochs for run in runs) / epochs if epochs else 1.0
    counts = Counter(str(run.standing) for run in runs)
    return Forecast(share, counts, _left(runs))


def _left(runs: Sequence[Progress]) -> float | None:
    open_ones = [run for run in runs if not run.done]
    if not open_ones:
        return 0.0
    rates: dict[str, list[float]] = {}  # seconds an epoch
    for run in runs:
        rate = _seconds_an_epoch(run)
        if rate is not None:
            rates.setdefault(run.run.mechanism, []).append(rate)
    if not rates:
        return None
    every = fmean(fmean(found) for found in rates.values())
    going = [run for run in open_ones if run.standing == "running"]
    lasts = []
    for run in open_ones:
        rate = fmean(rates[run.run.mechanism]) if run.run.mechanism in rates else every
        lasts.append(run.left if run.left is not None else rate * (run.epochs - run.epoch))
    return max(sum(lasts) / max(1, len(going)), max((run.left or 0.0 for run in going), default=0.0))


def _seconds_an_epoch(run: Progress) -> float | None:
    """What an epoch of a run takes, as far as it tells."""
    if run.standing == "finished" and run.seconds:
        return run.seconds / max(1, run.epochs)
    if run.left and run.epochs > run.epoch:
        return run.left / (run.epochs - run.epoch)
    return None
