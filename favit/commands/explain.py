"""Say of each run whether its result is valid, and why it must be trained if not: ``favit explain [WORDS]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from favit.commands.main import add_config, command_line
from favit.results import guard
from favit.results.reasons import line
from favit.results.selection import WORDS, chosen
from favit.results.state import Results
from favit.sweeps.config import load


def main(arguments: Sequence[str]) -> int:
    """Print a line for each run."""
    parser = command_line("explain", __doc__)
    parser.add_argument("words", nargs="*", help=f"{WORDS}; default: all")
    add_config(parser)
    options = parser.parse_args(arguments)
    config = load(options.config)
    results = Results(config)
    states = results.states(chosen(config, options.words, "all"))
    for state in states:
        print(line(state, results.fingerprinter))
    for remark in guard.untracked(states, results):
        print(remark, file=sys.stderr)
    return 0
