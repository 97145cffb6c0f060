"""Two small sweeps whose results decide what is trained, run to the end with the main process killed between stages."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import Project
from tests.workflow.conftest import TINY

PATIENCE = 900  # seconds, however slow the machine


def configuration() -> dict[str, Any]:
    """Rates tuned for two attentions, and seeds until decided, which with two seeds at least and three at most ends."""
    config = copy.deepcopy(TINY)
    series = config["sweeps"]["series"]
    tuned, seeds = copy.deepcopy(series), copy.deepcopy(series)
    tuned["tune"] = {"grid": {"lr": [0.001, 0.01]}, "seeds": [100]}
    seeds["matrix"]["seed"] = {"min": 2, "max": 3, "stop": "decided"}
    config["sweeps"] = {"tuned": tuned, "seeds": seeds}
    config["groups"] = {}
    return config


def kill_after_each_stage(project: Project, command: Sequence[str]) -> int:
    """Start again and again, each time until one more stage is there; returns how many there were."""
    stages = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *command],
            cwd=project.root,
            env=environment(project),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and len(stages_of(project)) <= stages and time.monotonic() < deadline:
            time.sleep(0.1)
        if process.poll() is not None:
            assert process.returncode == 0, f"snakemake ended with {process.returncode}"
            return len(stages_of(project))
        assert len(stages_of(project)) > stages, "no stage came"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        stages = len(stages_of(project))


def environment(project: Project) -> dict[str, str]:
    paths = os.pathsep.join(map(str, (project.root, project.root / "jobs")))
    found = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **project.environment}
    found.pop("PYTEST_CURRENT_TEST", None)
    return found


def stages_of(project: Project) -> list[Path]:
    return sorted((project.root / "results" / ".stages").glob("*/*.json"))


def runs_of(project: Project) -> dict[tuple[str, float, int], float]:
    """(aggregator, rate, seed) -> when its result was written, of all results."""
    found = {}
    for path in project.results():
        run = json.loads(path.read_text())["run"]
        found[run["aggregator"], run["lr"], run["seed"]] = path.stat().st_mtime_ns
    return found


def check_the_end(project: Project) -> None:
    """What a sweep that nobody disturbed would have: each run once, tables that say what was decided."""
    trained = runs_of(project)
    assert len(trained) == len(project.results()), "no run was trained twice"
    tables = {
        name: (project.root / "results" / "tables" / f"{name}.md").read_text() for name in ("tuned", "seeds")
    }
    candidates = {key for key in trained if key[2] == 100}
    assert candidates == {(a, lr, 100) for a in ("full", "probsparse") for lr in (0.001, 0.01)}
    validation = {
        (run["aggregator"], run["lr"]): result["best"]["mse"]
        for result in map(json.loads, (path.read_text() for path in project.results()))
        if (run := result["run"])["seed"] == 100
    }
    for aggregator in ("full", "probsparse"):
        rate = min((0.001, 0.01), key=lambda lr: validation[aggregator, lr])
        assert (aggregator, rate, 0) in trained
        assert (
            f"lr {rate} chosen from 2 by validation MSE {validation[aggregator, rate]:.3f}" in tables["tuned"]
        )
    own = {key for key in trained if key[2] != 100 and key[1] == 0.001}
    seeds = {seed for _, _, seed in own}
    assert (
        seeds in ({0, 1}, {0, 1, 2}) and {(a, 0.001, s) for a in ("full", "probsparse") for s in seeds} <= own
    )
    assert ("stopped after" in tables["seeds"]) or ("undecided after 3 seeds" in tables["seeds"])
