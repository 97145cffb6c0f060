"""Print the runs that a sweep asks for, one JSON a line: ``favit sweep SWEEP...``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from favit.commands.main import add_config, command_line
from favit.results.selection import WORDS, chosen
from favit.sweeps.config import load


def main(arguments: Sequence[str]) -> int:
    """Print the settings of the runs that the words mean."""
    parser = command_line("sweep", __doc__)
    parser.add_argument("words", nargs="+", help=WORDS)
    add_config(parser)
    options = parser.parse_args(arguments)
    for run in chosen(load(options.config), options.words):
        print(json.dumps(run.settings))
    return 0
