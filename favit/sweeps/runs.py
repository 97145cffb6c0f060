"""The runs that a configuration asks for.

``favit sweep SWEEP`` prints them, one JSON a line. Free of torch.
"""

from __future__ import annotations

from collections.abc import Iterable

from favit.sweeps.cells import TABLE_KEYS, Cell, cells
from favit.sweeps.config import Config
from favit.sweeps.matrix import expand
from favit.sweeps.resolve import AXES, Run, resolve
from favit.sweeps.stages import possible

__all__ = ["AXES", "TABLE_KEYS", "Cell", "Run", "cells", "expand", "resolve", "runs", "unique"]


def runs(config: Config, target: str = "all") -> list[Run]:
    """The distinct runs of a sweep, a group or ``all``, in the order of the configuration.

    A run of several sweeps has the name that says most. Where results decide which runs a sweep asks for, those that
    it may come to ask for.
    """
    return unique(run for sweep in config.sweeps_of(target) for run in possible(sweep).runs)


def unique(found: Iterable[Run]) -> list[Run]:
    """Each run once, in their order, by the most specific of its names."""
    known: dict[str, Run] = {}
    for run in found:
        if run.key not in known or len(run.apart) > len(known[run.key].apart):
            known[run.key] = run
    return list(known.values())
