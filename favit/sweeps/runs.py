"""The runs that a configuration asks for.

``favit sweep SWEEP`` prints them, one JSON a line. Free of torch.
"""

from __future__ import annotations

from favit.sweeps.cells import TABLE_KEYS, Cell, cells
from favit.sweeps.config import Config
from favit.sweeps.matrix import expand
from favit.sweeps.resolve import AXES, Run, resolve

__all__ = ["AXES", "TABLE_KEYS", "Cell", "Run", "cells", "expand", "resolve", "runs"]


def runs(config: Config, target: str = "all") -> list[Run]:
    """The distinct runs of a sweep, a group or ``all``, in the order of the configuration."""
    distinct = {cell.run.key: cell.run for sweep in config.sweeps_of(target) for cell in cells(sweep)}
    return list(distinct.values())
