"""Records of a run besides its numbers: its history, and the code, versions and hardware that made it."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import os
import platform
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from favit.disk.files import write_atomic
from favit.disk.git import commit_of
from favit.disk.run_folder import RunFolder
from favit.train.distributed import World

_PACKAGES = ("torch", "timm", "torchvision", "numpy", "einops", "pandas")


def write_history(folder: RunFolder, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one row for each epoch; the columns are those of the first row."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(folder.history, text.getvalue())


def commit() -> str | None:
    """The git commit of the code that runs, "+changes" where files differ from it; ``None`` where unknown.

    Code that runs from a snapshot has its commit written beside it.
    """
    snapshot = os.environ.get("FAVIT_SNAPSHOT")
    if not snapshot:
        return commit_of(Path(__file__).parent)
    try:
        return str(json.loads((Path(snapshot) / "snapshot.json").read_text())["commit"] or "") or None
    except (OSError, ValueError, KeyError):
        return None


def versions() -> dict[str, str]:
    """Python's and the installed packages' that numbers may depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def hardware(device: torch.device, world: World) -> dict[str, Any]:
    """The hardware of the run."""
    gpus = [torch.cuda.get_device_name(device)] * world.size if device.type == "cuda" else []
    return {
        "device": device.type,
        "cpu": _cpu_name(),
        "gpus": gpus,
        "processes": world.size,
        "hostname": socket.gethostname(),
        "threads": torch.get_num_threads(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
