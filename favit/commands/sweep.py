"""Print the runs that a sweep asks for now, one line of JSON each: ``favit sweep SWEEP...``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from favit.commands.main import add_config, command_line
from favit.results.selection import WORDS, chosen, sweeps_with
from favit.sweeps.config import ConfigError, load
from favit.sweeps.runs import runs


def main(arguments: Sequence[str]) -> int:
    """Print the settings of the selected runs."""
    parser = command_line("sweep", __doc__)
    parser.add_argument("words", nargs="+", help=WORDS)
    add_config(parser)
    parser.add_argument(
        "--all-stages",
        action="store_true",
        help="all runs that the sweep may ask for depending on results, not only those it asks for now",
    )
    options = parser.parse_args(arguments)
    config = load(options.config)
    found = chosen(config, options.words)
    staged = [name for name, sweep in config.sweeps.items() if sweep.staged]
    keys = {run.key for run in found}
    if not options.all_stages and any(run.key in keys for name in staged for run in runs(config, name)):
        from favit.analysis.asked import runs_now  # numpy, for those who need it

        try:
            meant = [sweep.name for sweep, _ in sweeps_with(config, options.words)]
        except ConfigError:  # a run or a folder
            meant = list(config.sweeps)
        now = {run.key for name in meant for run in runs_now(config, name)}
        found = [run for run in found if run.key in now]
    for run in found:
        print(json.dumps(run.settings))
    return 0
