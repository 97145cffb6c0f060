"""The command line of analyses of trained runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from favit.analysis import _figures
from favit.results import made

Rows = list[dict[str, Any]]


def parser(module: str, doc: str) -> argparse.ArgumentParser:
    """The options that all of them have; ``module`` is the analysis' name below ``favit.analysis``."""
    made_parser = argparse.ArgumentParser(
        prog=f"python -m favit.analysis.{module}", description=doc.split("\n")[0]
    )
    add = made_parser.add_argument
    add("runs", type=Path, nargs="+", help="folders of runs with metrics.json and weights")
    add("--data", type=Path, default=Path("data"), help="data root (default: %(default)s)")
    add("--out", type=Path, default=_figures.FOLDER, help="folder (default: %(default)s)")
    add("--images", type=int, default=0, help="number of test images, drawn at random (default: all)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s")
    add("--digest", default="", help="digest of the inputs, recorded beside the files (set by the workflow)")
    return made_parser


def device(chosen: argparse.Namespace) -> torch.device:
    """The device to compute on."""
    name = chosen.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def write(
    module: str,
    name: str,
    chosen: argparse.Namespace,
    rows_of: Callable[[Path], Sequence[dict[str, Any]]],
    figure_of: Callable[[Rows], Figure],
) -> int:
    """Write ``name``'s figure and CSV of all runs; 1 and one line on stderr where a run or its data will not do."""
    try:
        rows = [row for folder in chosen.runs for row in rows_of(folder)]
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    written = _figures.write(chosen.out, name, figure_of(rows), rows)
    if chosen.digest:
        made.record(chosen.out / f"{module}.json", chosen.digest, written)
    print(*written, sep="\n")
    return 0
