"""The commands of `python -m snakemake_executor_plugin_submitit`: `status`, `cancel`, `submit` and `site`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import site, status, stop, submit
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
    listing.add_argument("--follow", action="store_true", help="show it again until all is over")
    main_job = verbs.add_parser("submit", help="run Snakemake itself as a job: submit -- ITS ARGUMENTS")
    main_job.add_argument("--stop", action="store_true", help="end that job and cancel its jobs")
    main_job.add_argument("--partition", help="default: the first that jobs ask for")
    main_job.add_argument("--account", help="default: the jobs'")
    main_job.add_argument("--time", type=int, metavar="MINUTES", help="default: the partition's")
    main_job.add_argument("--mem", type=int, metavar="MB", default=2000, help="default: %(default)s")
    main_job.add_argument(
        "--folder", type=Path, default=Path(ExecutorSettings.folder), help="default: %(default)s"
    )
    main_job.add_argument("arguments", nargs="*", help="what would follow `snakemake`, after --")
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
        if options.verb == "status" and options.follow:
            status.follow(options.folder, options.all)
        elif options.verb == "submit":
            if bool(options.arguments) == options.stop:
                main_job.error("give Snakemake's arguments after --, or --stop")
            request = submit.Request(options.partition, options.account, options.time, options.mem)
            stops = options.stop
            print(
                submit.stop(options.folder)
                if stops
                else submit.submit(options.folder, options.arguments, request)
            )
        elif options.verb == "status":
            print(status.overview(options.folder, options.all))
        elif options.verb == "cancel":
            print(stop.cancel(options.folder, options.jobs))
        else:
            print(site.describe(options.profile))
    except NoAnswer as trouble:
        print(f"SLURM does not answer: {trouble}", file=sys.stderr)
        return 1
    except submit.NotSubmitted as why:
        print(why, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
