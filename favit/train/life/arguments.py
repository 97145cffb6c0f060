"""The command line of training; nothing in it changes a result."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from favit.components.command_line import Parser
from favit.train.life import launch, machine, trace

KEEP = ("none", "weights", "all")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options; a wrong command line ends the process with status 2."""
    asked = parser()
    options = asked.parse_args(arguments)
    if options.runs is not None and not options.run and options.out is None:
        return options
    if options.runs is not None or not options.run or options.out is None:
        asked.error("give --run and --out for one run, or --runs for a list")
    return options


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="python -m favit.train",
        description="Train one run (--run, --out), or the runs of a list one after another (--runs).",
    )
    parser.add_argument("--run", help="JSON file of the run, or - for standard input")
    parser.add_argument("--out", type=Path, help="folder for everything that the run writes")
    parser.add_argument(
        "--runs",
        type=Path,
        help='list of runs instead, one line of JSON each: {"run": its JSON file, "out": its folder}; prints one '
        "line of JSON for each run that has ended to standard output, everything else to standard error",
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data (default: data)")
    parser.add_argument("--device", choices=machine.NAMES, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--wait",
        action="store_true",
        help="if another process trains the run, wait for it instead of exiting with status 3",
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that read data from disk (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's own choice)")
    parser.add_argument(
        "--keep",
        choices=KEEP,
        default="none",
        help="what to keep of a finished run: none, its weights, or all checkpoints too (default: %(default)s)",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help=f"write a trace of steps {trace.SKIPPED + 1} to {trace.SKIPPED + trace.TRACED} to OUT/trace.json",
    )
    launch.add_options(parser)
    return parser
