"""The runs that a configuration asks for.

``python -m favit.sweep SWEEP`` prints them, one JSON a line. Free of torch.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from favit.sweeps.cells import TABLE_KEYS, Cell, cells
from favit.sweeps.config import Config, ConfigError, load
from favit.sweeps.matrix import expand
from favit.sweeps.resolve import AXES, Run, resolve

__all__ = ["AXES", "TABLE_KEYS", "Cell", "Run", "cells", "expand", "resolve", "runs"]


def runs(config: Config, target: str = "all") -> list[Run]:
    """The distinct runs of a sweep, a group or ``all``, in the order of the configuration."""
    distinct = {cell.run.key: cell.run for sweep in config.sweeps_of(target) for cell in cells(sweep)}
    return list(distinct.values())


def main(arguments: list[str] | None = None) -> int:
    """Print the runs of a sweep, a group or ``all``."""
    parser = argparse.ArgumentParser(
        prog="python -m favit.sweep", description="Print a sweep's runs, one JSON a line."
    )
    parser.add_argument("sweep", help="a sweep of the configuration, a group such as demo, or all")
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        found = runs(load(options.config), options.sweep)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for run in found:
        print(json.dumps(run.settings))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
    sys.exit(main())
