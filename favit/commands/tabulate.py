"""Make the tables of sweeps from the results that count today: ``favit tabulate SWEEP...``.

A table may be made at any time; what is missing, stale or running is said in
its footnotes.
"""

from __future__ import annotations

from collections.abc import Sequence

from favit.analysis.sweep_tables import make
from favit.commands.main import add_config, command_line
from favit.results.state import Results
from favit.results.tables import SUFFIXES, folder
from favit.sweeps.config import ConfigError, load


def main(arguments: Sequence[str]) -> int:
    """Make the tables of sweeps, groups or ``all``, and say where they are; or print them."""
    parser = command_line("tabulate", __doc__)
    parser.add_argument("sweeps", nargs="+", help="sweeps, groups, or all")
    add_config(parser)
    parser.add_argument("--show", action="store_true", help="print tables that exist, make none")
    options = parser.parse_args(arguments)
    config = load(options.config)
    chosen = [sweep for name in options.sweeps for sweep in config.sweeps_of(name)]
    results = Results(config)
    for sweep in chosen:
        path = (folder(config) / sweep.name).with_suffix(".md")
        if not options.show:
            path = make(config, sweep, results)
        elif not path.exists():
            raise ConfigError(f"{path} is not there yet: snakemake {sweep.name}")
        else:
            print(path.read_text().rstrip() + "\n")
        print(", ".join(str(path.with_suffix(s)) for s in SUFFIXES) + ("\n" if options.show else ""))
    return 0
