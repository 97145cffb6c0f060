"""Print the runs that a sweep asks for now, one JSON a line: ``favit sweep [SWEEP]``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from favit.commands.main import add_config, command_line
from favit.sweeps.config import load
from favit.sweeps.runs import runs


def main(arguments: Sequence[str]) -> int:
    """Print the settings of the runs of a sweep, a group or ``all``."""
    parser = command_line("sweep", __doc__)
    parser.add_argument("sweep", help="a sweep of the configuration, a group such as demo, or all")
    add_config(parser)
    parser.add_argument(
        "--all-stages",
        action="store_true",
        help="all runs that the sweep may come to ask for, where its results decide, and not those asked for now",
    )
    options = parser.parse_args(arguments)
    config = load(options.config)
    if options.all_stages or not any(sweep.staged for sweep in config.sweeps_of(options.sweep)):
        found = runs(config, options.sweep)
    else:
        from favit.analysis.asked import runs_now  # numpy, for those who need it

        found = runs_now(config, options.sweep)
    for run in found:
        print(json.dumps(run.settings))
    return 0
