"""The commands `python -m snakemake_executor_plugin_submitit status`, `cancel` and `site`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import site, status, stop
from .clusters.base import NoAnswer
from .settings import ExecutorSettings


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m snakemake_executor_plugin_submitit")
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("status", help="what is queued, running and finished in a folder")
    listing.add_argument("--all", action="store_true", help="show finished jobs too")
    listing.add_argument(
        "--folder", type=Path, default=Path(ExecutorSettings.folder), help="default: %(default)s"
    )
    ending = verbs.add_parser("cancel", help="cancel single jobs, also of those that share an allocation")
    ending.add_argument("jobs", nargs="+", metavar="JOB", help="as status names it; * and ? stand for others")
    ending.add_argument(
        "--folder", type=Path, default=Path(ExecutorSettings.folder), help="default: %(default)s"
    )
    offers = verbs.add_parser("site", help="what this cluster offers, and profile lines for it")
    offers.add_argument(
        "--profile", type=Path, default=Path("slurm"), help="compare it with that; default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        if options.verb == "status":
            print(status.overview(options.folder, options.all))
        elif options.verb == "cancel":
            print(stop.cancel(options.folder, options.jobs))
        else:
            print(site.describe(options.profile))
    except NoAnswer as trouble:
        print(f"SLURM does not answer: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
