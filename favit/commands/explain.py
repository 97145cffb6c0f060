"""Show which runs are valid, and why the others must be trained: ``favit explain [WORDS]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from favit.commands.main import add_config, command_line
from favit.results import guard
from favit.results.reasons import line
from favit.results.selection import WORDS, chosen
from favit.results.state import Results
from favit.sweeps.config import Config, load
from favit.sweeps.stages import possible


def main(arguments: Sequence[str]) -> int:
    """Print a line for each run."""
    parser = command_line("explain", __doc__)
    parser.add_argument("words", nargs="*", help=f"{WORDS} (default: all)")
    add_config(parser)
    options = parser.parse_args(arguments)
    config = load(options.config)
    results = Results(config)
    states = results.states(chosen(config, options.words, "all"))
    later = asked_for_later(config, results, {state.run.key for state in states if not state.counts})
    for state in states:
        if state.run.key in later:
            print(
                f"open     {state.run['dataset']} {state.run.name}: trained only if earlier results call for it"
            )
        else:
            print(line(state, results.fingerprinter))
    for remark in guard.untracked(states, results):
        print(remark, file=sys.stderr)
    return 0


def asked_for_later(config: Config, results: Results, missing: set[str]) -> set[str]:
    """Of the keys of missing runs those that no sweep asks for now but one may ask for later, depending on results."""
    of = {name: {run.key for run in possible(sweep).runs} for name, sweep in config.sweeps.items()}
    staged = [name for name, sweep in config.sweeps.items() if sweep.staged and of[name] & missing]
    if not staged:
        return set()
    from favit.analysis.asked import of_sweep  # numpy, for those who need it

    later = {key for name in staged for key in of[name]} & missing
    for name, sweep in config.sweeps.items():
        if name in staged:
            later -= {run.key for run in of_sweep(sweep, results).runs}
        elif not sweep.staged:
            later -= of[name]
    return later
