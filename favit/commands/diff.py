"""Compare the settings and scores of two sweeps: ``favit diff SWEEP SWEEP [KEY=VALUE...]``.

First the settings that differ between them, then every row's scores in both (mean, deviation over seeds, number of
seeds) and the second minus the first. Rows are matched by their names and blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

from favit.analysis.asked import of_sweep
from favit.analysis.side_by_side import lines, side
from favit.commands.main import add_config, command_line
from favit.results.selection import sweeps_with
from favit.results.state import Results
from favit.sweeps.config import ConfigError, load


def main(arguments: Sequence[str]) -> int:
    """Print the comparison."""
    parser = command_line("diff", __doc__)
    parser.add_argument(
        "words", nargs="+", help="two sweeps, and key=value[,value] to select among their runs"
    )
    add_config(parser)
    options = parser.parse_args(arguments)
    config = load(options.config)
    found = sweeps_with(config, options.words)
    if len(found) != 2:
        names = ", ".join(sweep.name for sweep, _ in found)
        such = " that have such runs" if any("=" in word for word in options.words) else ""
        raise ConfigError(f"name two different sweeps{such}; these are {len(found)}: {names}")
    results = Results(config)
    sides = []
    for sweep, keys in found:
        now = of_sweep(sweep, results)
        # Of a row whose settings are not chosen yet nobody knows which run is its.
        asked = [cell for cell in now.cells if cell.run.key in keys and now.chosen(cell)]
        if not asked:
            raise ConfigError(
                f"{sweep.name} asks for none of these runs yet; favit explain {sweep.name} shows which are open"
            )
        sides.append(side(sweep.name, asked, results))
    try:
        for line in lines(*sides):
            print(line)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return 0
