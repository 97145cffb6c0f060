"""A copy of the project with one finished run of a small Informer, whose code is then edited."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, copy_project

SETTINGS: dict[str, Any] = {
    "dataset.path": "own.csv", "epochs": 6, "batch_size": 32, "schedule": "halving", "optimizer": "adam",
    "lr": 0.001, "input_length": 8, "label_length": 4, "horizon": 2, "patience": 3,
    "model.d_model": 8, "model.n_heads": 2, "model.d_ff": 8,
}  # fmt: skip
MATRIX = {
    "dataset": ["csv"],
    "model": ["informer"],
    "aggregator": ["full"],
    "encoding": ["temporal"],
    "seed": [0, 1],
}
CONFIG = {"device": "cpu", "sweeps": {"s": {"matrix": MATRIX, "settings": SETTINGS}}}

# What Snakemake does for runs that are missing, and then their jobs, one after the other.
TRAIN = """
import subprocess, sys
from pathlib import Path
from favit.disk.run_folder import RunFolder
from favit.results import guard
from favit.results.state import Results
from favit.sweeps.config import load
from favit.sweeps.runs import runs

config = load()
results = Results(config)
missing = [s for s in results.states(runs(config)) if not s.counts]
guard.before_training(config, results, missing)
for state in missing:
    words = ["--run", RunFolder(state.folder).request, "--out", state.folder, "--device", "cpu", "--threads", "1"]
    subprocess.run([sys.executable, guard.snapshot_of(state, results), *words], check=True)
"""


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with two finished runs that differ in their seed alone."""
    copy = copy_project(tmp_path_factory.mktemp("proof") / "project")
    copy.configure(CONFIG)
    (copy.root / "data").mkdir()
    rows = [f"{date},{math.sin(i / 3):.4f},{math.cos(i / 5):.4f}" for i, date in enumerate(_days(400))]
    (copy.root / "data" / "own.csv").write_text("\n".join(["date,x,y", *rows]) + "\n")
    copy.python("-c", TRAIN)
    assert len(copy.results()) == 2
    return copy.root


def _days(number: int) -> list[str]:
    from datetime import date, timedelta

    return [str(date(2020, 1, 1) + timedelta(days=i)) for i in range(number)]


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Project:
    """A copy of it of one's own."""
    shutil.copytree(trained_once, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def acceptances(project: Project) -> list[list[dict[str, Any]]]:
    """Of each result, what has been recorded."""
    found = [path.parent / "accepted.json" for path in project.results()]
    return [json.loads(path.read_text()) if path.exists() else [] for path in found]


def prove(project: Project, *words: str) -> str:
    """What `favit accept --prove` says."""
    done = project.python("-m", "favit", "accept", "--prove", *words, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout + done.stderr


def explain(project: Project) -> str:
    """What `favit explain` says."""
    return project.python("-m", "favit", "explain").stdout
