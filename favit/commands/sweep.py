"""Print the runs that a sweep asks for, one JSON a line: ``favit sweep [SWEEP]``."""

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
    options = parser.parse_args(arguments)
    for run in runs(load(options.config), options.sweep):
        print(json.dumps(run.settings))
    return 0
