"""Say of each run whether its result is valid, and why it must be trained if not: ``favit explain [SWEEP|RUN]``."""

from __future__ import annotations

from collections.abc import Sequence

from favit.commands.main import add_config, command_line
from favit.results.reasons import line
from favit.results.selection import select
from favit.results.state import Results
from favit.sweeps.config import load


def main(arguments: Sequence[str]) -> int:
    """Print a line for each run."""
    parser = command_line("explain", __doc__)
    parser.add_argument("what", nargs="?", default="all", help="a sweep, a group, all (default), or a run")
    add_config(parser)
    options = parser.parse_args(arguments)
    config = load(options.config)
    results = Results(config)
    for state in results.states(select(config, options.what)):
        print(line(state, results.fingerprinter))
    return 0
