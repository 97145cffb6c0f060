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
    listing = verbs.add_parser("status", help="list the jobs of a folder")
    listing.add_argument("--all", action="store_true", help="include finished jobs")
    listing.add_argument(
        "--folder", type=Path, default=Path(ExecutorSettings.folder), help="default: %(default)s"
    )
    listing.add_argument("--follow", action="store_true", help="update the list until all jobs have ended")
    main_job = verbs.add_parser("submit", help="run Snakemake itself as a job: submit -- ARGUMENTS")
    main_job.add_argument(
        "--stop", action="store_true", help="stop that job and cancel the jobs it submitted"
    )
    main_job.add_argument(
        "--partition", help="partition for Snakemake (default: the first that its jobs ask for)"
    )
    main_job.add_argument("--account", help="account for Snakemake (default: that of its jobs)")
    main_job.add_argument(
        "--time", type=int, metavar="MINUTES", help="time limit (default: that of the partition)"
    )
    main_job.add_argument(
        "--mem", type=int, metavar="MB", default=2000, help="memory for Snakemake (default: %(default)s)"
    )
    main_job.add_argument(
        "--folder", type=Path, default=Path(ExecutorSettings.folder), help="default: %(default)s"
    )
    main_job.add_argument("arguments", nargs="*", help="arguments of snakemake, after --")
    ending = verbs.add_parser("cancel", help="cancel single jobs, even if they share an allocation")
    ending.add_argument("jobs", nargs="+", metavar="JOB", help="name as in status; * and ? are wildcards")
    ending.add_argument(
        "--folder", type=Path, default=Path(ExecutorSettings.folder), help="default: %(default)s"
    )
    offers = verbs.add_parser(
        "site", help="show partitions, accounts and GPUs of this cluster, and lines for a profile"
    )
    offers.add_argument(
        "--profile",
        type=Path,
        default=Path("slurm"),
        help="profile to check against the cluster (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        if options.verb == "status" and options.follow:
            status.follow(options.folder, options.all)
        elif options.verb == "submit":
            if bool(options.arguments) == options.stop:
                main_job.error("give the arguments of snakemake after --, or --stop")
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
    except KeyboardInterrupt:  # which is how people leave `status --follow`
        return 130
    except submit.NotSubmitted as why:
        print(why, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
