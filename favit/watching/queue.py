"""The executor's jobs on a cluster, from the output of its own command."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

_PLUGIN = "snakemake_executor_plugin_submitit"
_FOLDER = Path(".snakemake") / "submitit"
_PATIENCE_S = 60.0


def lines(project: Path = Path()) -> list[str]:
    """Its jobs that failed, and how many there are in each state; empty if none were submitted from here."""
    if not (project / _FOLDER).is_dir() or importlib.util.find_spec(_PLUGIN) is None:
        return []
    try:
        done = subprocess.run(
            [sys.executable, "-m", _PLUGIN, "status"],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        return [f"queue: no answer from the cluster for {_PATIENCE_S:.0f} s"]
    said = done.stdout.splitlines()
    if done.returncode != 0 or not said:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return [f"queue: {last}"]
    failed = [line for line in said if line.startswith(("failed", "ended"))]
    return [*failed, f"queue at {said[-1]}"]
