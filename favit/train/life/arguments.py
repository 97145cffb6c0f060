"""The command line of training; nothing in it changes a result."""

from __future__ import annotations

import argparse
from pathlib import Path

from favit.train.life import launch, machine

KEEP = ("none", "weights", "all")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m favit.train", description="Train one run.")
    parser.add_argument("--run", required=True, help="JSON file of the run, or - for standard input")
    parser.add_argument("--out", required=True, type=Path, help="folder for all that the run leaves")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data (default: data)")
    parser.add_argument("--device", choices=machine.NAMES, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait while another process trains the run, instead of ending with 3",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that read data not held in memory")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's own choice)")
    parser.add_argument(
        "--keep",
        choices=KEEP,
        default="none",
        help="what stays after success: nothing, the weights, or the last checkpoints too (default: %(default)s)",
    )
    launch.add_options(parser)
    return parser
