"""``favit watch`` and loggers while ten runs of a sweep are being trained on a real SLURM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.conftest import copy_project
from tests.workflow.conftest import TINY

LOGGER = "def logger(run):\n    return lambda row: (run.folder / 'logged').open('a').write(f\"{row['epoch']}\\n\")\n"


@pytest.mark.slow
def test_ten_runs_are_seen_at_once(cluster: Any, tmp_path: Any) -> None:
    project = copy_project(tmp_path / "project")
    project.environment = dict(cluster.env)
    series = {**TINY["sweeps"]["series"], "settings": {"epochs": 100_000}}
    series["matrix"] = {**series["matrix"], "aggregator": ["full"], "seed": list(range(10))}
    config = {**TINY, "sweeps": {"series": series}, "groups": {}, "loggers": ["note.py"]}
    config["recipes"] = {"series": TINY["recipes"]["series"]}
    project.configure(config)
    (project.root / "note.py").write_text(LOGGER)
    paths = os.pathsep.join(map(str, (project.root, project.root / "jobs")))
    with (tmp_path / "snakemake.log").open("w") as log:
        main = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--profile", "slurm", "series"],
            cwd=project.root,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **project.environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + 600
        while not _all_going(shown := project.python("-m", "favit", "watch", "--once").stdout):
            assert main.poll() is None, (tmp_path / "snakemake.log").read_text()
            assert time.monotonic() < until, shown
            time.sleep(1.0)
    finally:
        main.send_signal(signal.SIGINT)  # cancels the jobs
        main.wait(300)
    print(shown)
    assert re.search(r"0 of 10 runs, 10 running; .* left, until", shown)
    assert len(re.findall(r"informer\.full\.temporal\.seed\d .*mse .* windows/s", shown)) == 10
    assert re.search(r"queue at .*: 10 running", shown)
    for folder in (project.root / "results" / "runs").glob("*/*/*/*/*/*"):
        logged = [int(line) for line in (folder / "logged").read_text().split()]
        assert logged and logged == list(range(1, len(logged) + 1))


def _all_going(shown: str) -> bool:
    """Whether each of ten runs has said how its first epoch went."""
    return len(re.findall(r"informer\.full\.temporal\.seed\d +[1-9]\d*/100000", shown)) == 10
