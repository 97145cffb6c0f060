"""Run Snakemake itself as a job: what happens in it. `submit.py` submits it.

The job may be requeued at any time, by a preemption, a lost node or before its time limit. Its jobs then go on, and
the next start takes them over. Only `submit --stop` cancels them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from .allocation.clients import MAIN_VARIABLE, NoAnswer, call
from .allocation.files import read_json, write_json

CANNOT = (
    "sbatch refuses jobs from this node, so Snakemake has to run on a login node: {command} (sbatch: {why})"
)


@dataclass(frozen=True)
class MainFolder:
    """The files of one submission of Snakemake, `.snakemake/submitit/main/NUMBER`."""

    path: Path

    @property
    def request(self) -> Path:
        return self.path / "request.json"

    @property
    def script(self) -> Path:
        return self.path / "main.sh"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def job(self) -> Path:
        return self.path / "job"

    @property
    def stop(self) -> Path:
        return self.path / "stop"

    @property
    def ended(self) -> Path:
        """Why nothing of it comes back, in a line."""
        return self.path / "ended"

    def job_id(self) -> str:
        return self.job.read_text().strip() if self.job.exists() else ""


def here() -> MainFolder | None:
    """Return the folder of the main job that this process runs in, None outside one."""
    path = os.environ.get(MAIN_VARIABLE)
    return MainFolder(Path(path)) if path else None


def keeps_running() -> bool:
    """Return whether jobs are to stay when this main process ends, for it is a job that comes back."""
    folder = here()
    return folder is not None and not folder.stop.exists()


def identity() -> str:
    """Return the id by which one start of a main job knows another; empty outside a main job."""
    return os.environ.get("SLURM_JOB_ID", "") if here() is not None else ""


def main(path: Path) -> int:
    """Try sbatch from here, then run Snakemake to its end."""
    folder = MainFolder(path)
    request: Mapping[str, Any] = read_json(folder.request) or {}
    if folder.stop.exists() or not request:
        return 0
    try:
        call("sbatch", "--test-only", *request["probe"], timeout=120)
    except NoAnswer as refusal:
        why = str(refusal).splitlines()[-1]
        line = CANNOT.format(command=request["command"], why=why)
        write_json(folder.ended, line)
        print(line, flush=True)
        return 1
    snakemake = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *request["arguments"]],
        env=os.environ | {MAIN_VARIABLE: str(folder.path)},
        stdin=subprocess.DEVNULL,
    )

    def come_back(signum: int, frame: FrameType | None) -> None:
        """Near the time limit start anew: the jobs go on meanwhile."""
        with contextlib.suppress(NoAnswer):
            call("scontrol", "requeue", os.environ["SLURM_JOB_ID"], timeout=60)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        snakemake.send_signal(signum)

    signal.signal(signal.SIGUSR2, come_back)
    signal.signal(signal.SIGINT, pass_on)
    signal.signal(
        signal.SIGTERM, lambda signum, frame: None
    )  # SLURM tells Snakemake, too, and what follows is its
    status = snakemake.wait()
    if status >= 0:  # else it was killed, with this job or by somebody: nothing is known of its end
        words = "done" if status == 0 else f"ended with status {status}; its log says why"
        write_json(folder.ended, "stopped" if folder.stop.exists() else words)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
