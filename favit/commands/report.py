"""All tables and figures as one page: ``python -m favit.report [SWEEP...]`` writes ``results/report.html``.

Made of what is there: sweeps without any result are left out unless they are named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from favit.analysis import report
from favit.commands import tabulate
from favit.results.state import Results
from favit.sweeps.config import Config, ConfigError, SweepConfig, load
from favit.sweeps.runs import cells


def section(config: Config, sweep: SweepConfig, results: Results) -> report.Section:
    """A sweep's table and the runs behind it."""
    return report.Section(*tabulate.build(config, sweep, results))


def write(config: Config, names: list[str]) -> Path:
    """Write the page of these sweeps, groups or ``all``; of all that have results where none is named."""
    results = Results(config)
    if names:
        chosen = {sweep.name: sweep for name in names for sweep in config.sweeps_of(name)}
        sections = [section(config, sweep, results) for sweep in chosen.values()]
    else:
        found = [
            section(config, sweep, results) for sweep in config.sweeps.values() if _begun(sweep, results)
        ]
        sections = [s for s in found if s.table.averaged]
    return report.write(sections, config.results, config.data)


def _begun(sweep: SweepConfig, results: Results) -> bool:
    """Whether any run of the sweep has a result; what has none needs no models counted."""
    return any(state.counts for state in results.states(tabulate.distinct(cells(sweep))))


def main(arguments: list[str] | None = None) -> int:
    """Write the report and print where it is."""
    parser = argparse.ArgumentParser(prog="python -m favit.report", description="Make the report of sweeps.")
    parser.add_argument(
        "sweeps", nargs="*", help="sweeps, groups, or all; without any, those that have results"
    )
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        print(write(load(options.config), options.sweeps))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
