"""Say what a sweep will cost before it is spent: ``favit plan [WORDS]``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from favit.commands.main import add_config, command_line
from favit.planning import costs, render
from favit.planning.storage import data_storage, results_storage
from favit.results.selection import sweeps_with
from favit.sweeps.config import Config, ConfigError, SweepConfig, load


def lines(
    config: Config, sweep: SweepConfig, device: str, asked: frozenset[str] | None = None
) -> Iterator[str]:
    """What to say of one sweep, as it is found out. Runs that have their result cost nothing.

    asked: the keys of the runs that matter; None for all of them.
    """
    what = costs.outline(config, sweep, asked)
    yield render.heading(what)
    rows: list[costs.Row] = []
    for row in costs.rows(config, what, device):
        rows.append(row)
        yield render.line(row)
    yield from render.totals(what, rows)
    if any(row.cost for row in rows):
        yield render.results(results_storage(rows, config.keep), config.keep)
    first_of_dataset = {runs[0]["dataset"]: runs[0] for runs in reversed(what.rows.values())}
    for run in reversed(first_of_dataset.values()):
        yield render.data(data_storage(run.settings, config.data))


def main(arguments: Sequence[str]) -> int:
    """Print the costs of the named sweeps."""
    parser = command_line("plan", __doc__)
    parser.add_argument(
        "words", nargs="*", help="sweeps, groups, all (default), and key=value[,value] for some of their runs"
    )
    add_config(parser)
    parser.add_argument("--device", help="where to measure; default: the configuration's")
    options = parser.parse_args(arguments)
    config = load(options.config)
    try:
        for sweep, asked in sweeps_with(config, options.words):
            for line in lines(config, sweep, options.device or config.device, asked):
                print(line, flush=True)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return 0
