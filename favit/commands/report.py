"""Write one page with all tables and figures, ``results/report.html``: ``favit report [SWEEP...]``.

The page is made of what is there: sweeps without any result are left out unless they are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from favit.analysis.page import report
from favit.analysis.sweep_tables import build, digest, now_of
from favit.commands.main import add_config, command_line
from favit.results import made
from favit.results.state import Results
from favit.results.tables import report_digest
from favit.sweeps.config import Config, SweepConfig, load
from favit.sweeps.stages import possible


def section(config: Config, sweep: SweepConfig, results: Results) -> report.Section:
    """A sweep's table and the runs behind it."""
    return report.Section(*build(config, sweep, results))


def write(config: Config, names: list[str]) -> Path:
    """Write the page of these sweeps, groups or ``all``; of all that have results where none is named."""
    results = Results(config)
    if names:
        chosen = {sweep.name: sweep for name in names for sweep in config.sweeps_of(name)}
        sections = [section(config, sweep, results) for sweep in chosen.values()]
        return report.write(sections, config.results, config.data)
    # Taken before the page is made: a result that arrives meanwhile makes it outdated.
    now = {name: now_of(possible(sweep), results) for name, sweep in config.sweeps.items()}
    digests = {name: digest(asked, results, states) for name, (asked, states) in now.items()}
    # What has no result needs no models counted.
    begun = [s for s in config.sweeps.values() if any(state.counts for state in now[s.name][1].values())]
    found = [section(config, sweep, results) for sweep in begun]
    page = report.write([s for s in found if s.table.averaged], config.results, config.data)
    made.record(page.with_suffix(".json"), report_digest(results, digests), [page])
    return page


def main(arguments: Sequence[str]) -> int:
    """Write the report and print where it is."""
    parser = command_line("report", __doc__)
    parser.add_argument("sweeps", nargs="*", help="sweeps, groups or all (default: sweeps with results)")
    add_config(parser)
    options = parser.parse_args(arguments)
    print(write(load(options.config), options.sweeps))
    return 0
