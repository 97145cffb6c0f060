"""Say what a sweep will cost before it is spent: ``python -m favit.plan [SWEEP]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from favit.planning import costs, render
from favit.planning.storage import data_storage, results_storage
from favit.sweeps.config import Config, ConfigError, SweepConfig, load


def lines(config: Config, sweep: SweepConfig, device: str) -> Iterator[str]:
    """What to say of one sweep, as it is found out. Runs that have their result cost nothing."""
    what = costs.outline(config, sweep)
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


def main(arguments: list[str] | None = None) -> int:
    """Print the costs of the named sweeps."""
    parser = argparse.ArgumentParser(
        prog="python -m favit.plan", description=(__doc__ or "").partition(":")[0] + "."
    )
    parser.add_argument(
        "target", nargs="?", default="all", help="a sweep, a group or all; default: %(default)s"
    )
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    parser.add_argument("--device", help="where to measure; default: the configuration's")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        for sweep in config.sweeps_of(options.target):
            for line in lines(config, sweep, options.device or config.device):
                print(line, flush=True)
    except (ConfigError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
