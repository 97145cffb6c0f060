"""Write the tables of sweeps from the results that are valid today: ``favit tabulate SWEEP...``.

A table can be made at any time; its footnotes list runs that are missing, stale or running.
"""

from __future__ import annotations

from collections.abc import Sequence

from favit.analysis.sweep_tables import make
from favit.commands.main import add_config, command_line
from favit.results.state import Results
from favit.results.tables import SUFFIXES, folder
from favit.sweeps.config import ConfigError, load


def main(arguments: Sequence[str]) -> int:
    """Write the tables of sweeps, groups or ``all`` and print their paths; or print existing ones."""
    parser = command_line("tabulate", __doc__)
    parser.add_argument("sweeps", nargs="+", help="sweeps, groups or all")
    add_config(parser)
    parser.add_argument("--show", action="store_true", help="print existing tables instead of writing them")
    options = parser.parse_args(arguments)
    config = load(options.config)
    chosen = [sweep for name in options.sweeps for sweep in config.sweeps_of(name)]
    results = Results(config)
    for sweep in chosen:
        path = (folder(config) / sweep.name).with_suffix(".md")
        if not options.show:
            path = make(config, sweep, results)
        elif not path.exists():
            raise ConfigError(f"{path} does not exist yet; make it with: snakemake {sweep.name}")
        else:
            print(path.read_text().rstrip() + "\n")
        print(", ".join(str(path.with_suffix(s)) for s in SUFFIXES) + ("\n" if options.show else ""))
    return 0
