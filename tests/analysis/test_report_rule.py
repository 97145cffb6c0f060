"""`snakemake report` makes the page once, and Snakemake's own report shows it with its captions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from favit.disk.files import write_atomic
from favit.results.state import Results
from favit.sweeps.config import load
from favit.sweeps.runs import runs

ROOT = Path(__file__).parents[2]


def _snakemake(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "report", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _finish_one_run(folder: Path) -> None:
    """The result that a run of the demonstration would leave."""
    (state, *_) = Results(load("config.yaml")).states(runs(load("config.yaml"), "demo-weather"))
    content = {
        "status": "finished",
        "run": dict(state.run.settings),
        "fingerprint": {**state.fingerprint.as_dict(), "modules": {}},
        "metrics": {"mse": 0.5, "mae": 0.5},
    }
    write_atomic(folder / state.folder / "metrics.json", json.dumps(content))


@pytest.mark.slow
@pytest.mark.workflow
def test_report_rule(tmp_path, monkeypatch):
    for name in ("favit", "workflow"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    _finish_one_run(tmp_path)
    _snakemake(tmp_path)
    assert (tmp_path / "results" / "report.html").exists()
    assert "Nothing to be done" in _snakemake(tmp_path)
    _snakemake(tmp_path, "--report", "own.html")
    own = (tmp_path / "own.html").read_text(encoding="utf-8")
    assert "at what cost" in own  # the caption of the page
    assert "Fonts are embedded" in own  # the caption of figures
    assert "demo-weather: one row per mechanism" in own  # the caption of a table
    config = tmp_path / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("Cross-window aggregators", "Window aggregators"), encoding="utf-8")
    assert "Report of all results" in _snakemake(tmp_path)
