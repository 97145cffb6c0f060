"""Print the runs that a sweep asks for now, one line of JSON each: ``favit sweep SWEEP...``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from favit.commands.main import add_config, command_line
from favit.results.selection import WORDS, chosen, sweeps_with
from favit.sweeps.config import Config, ConfigError, load
from favit.sweeps.runs import Run
from favit.sweeps.stages import possible


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
    if not options.all_stages:
        found = _asked_now(config, options.words, found)
    for run in found:
        print(json.dumps(run.settings))
    return 0


def _asked_now(config: Config, words: Sequence[str], found: list[Run]) -> list[Run]:
    """Those of the runs found that the sweeps meant ask for now: all sweeps, where words name runs or folders."""
    try:
        meant = [sweep for sweep, _ in sweeps_with(config, words)]
    except ConfigError:  # a run or a folder
        meant = list(config.sweeps.values())
    keys = {run.key for run in found}
    if not any(sweep.staged and any(run.key in keys for run in possible(sweep).runs) for sweep in meant):
        return found
    from favit.analysis.asked import runs_now  # numpy, for those who need it

    now = {run.key for sweep in meant for run in runs_now(config, sweep.name)}
    return [run for run in found if run.key in now]
