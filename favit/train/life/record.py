"""What a run leaves to be read: ``history.csv`` and ``metrics.json``."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import os
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from favit.disk.files import write_atomic
from favit.train.distributed import World

_PACKAGES = ("torch", "timm", "torchvision", "numpy", "einops", "pandas")


def write_history(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One row an epoch; the columns are those of the first row."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(folder / "history.csv", text.getvalue())


def write_json(path: Path, value: Any) -> None:
    """Indented JSON; numbers must be finite."""
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of a life that ended while it wrote."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def commit() -> str | None:
    """The git commit of the code that runs, "+changes" where files differ from it; ``None`` where unknown.

    Code that runs from a snapshot has its commit written beside it.
    """
    snapshot = os.environ.get("FAVIT_SNAPSHOT")
    try:
        if snapshot:
            facts = json.loads((Path(snapshot) / "closure.json").read_text())
            return facts["commit"] and facts["commit"] + ("+changes" if facts["dirty"] else "")
        folder = Path(__file__).parent
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
        return _git(folder, "rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


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
    """Where the run took place."""
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
