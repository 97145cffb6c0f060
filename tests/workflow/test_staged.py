"""Stages by the rules: what is kept before the first job, and the main process killed after each stage."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Project
from tests.workflow.conftest import planned_tables
from tests.workflow.staged import (
    check_the_end,
    configuration,
    kill_after_each_stage,
    runs_of,
    stages_of,
)

pytestmark = pytest.mark.slow


def test_the_main_process_is_killed_after_each_stage(project: Project) -> None:
    project.configure(configuration())
    dry = project.snakemake("-n", "all")
    assert "tuned: 4 runs to train now; up to 2 more may follow" in dry.stdout + dry.stderr
    assert "seeds: 4 runs to train now; up to 2 more may follow" in dry.stdout + dry.stderr
    # --nolock: a process that was killed leaves its lock.
    stages = kill_after_each_stage(project, ["--cores", "1", "--nolock", "--rerun-incomplete", "all"])
    assert stages >= 3
    kept = {
        (run["aggregator"], run["lr"], run["seed"])
        for run in (json.loads(p.read_text())["run"] for p in project.root.glob("results/runs/**/run.json"))
    }
    possible = {(a, lr, s) for a in ("full", "probsparse") for lr in (0.001, 0.01) for s in (0, 100)}
    assert kept == possible | {(a, 0.001, s) for a in ("full", "probsparse") for s in (1, 2)}
    check_the_end(project)
    before = runs_of(project), [path.read_text() for path in stages_of(project)]
    assert "Nothing to be done" in project.snakemake("--nolock", "all").stderr
    for stage in stages_of(project):
        stage.unlink()
    assert "Nothing to be done" in project.snakemake("--nolock", "all").stderr, (
        "stages are records and no memory"
    )
    lost = next(path for path in project.results() if "/seed1/" in str(path))
    lost.unlink()
    lost.with_name(".metrics.json").unlink()
    project.snakemake("--nolock", "all")
    again = runs_of(project)
    assert again.keys() == before[0].keys()
    assert sum(again[key] != before[0][key] for key in again) == 1, "what was lost, and nothing else"


def test_only_sweeps_that_are_asked_for_are_decided(project: Project) -> None:
    """Looks at seeds need scipy, whose import takes longer than the rest of a dry run; rates do without it."""
    project.configure(configuration())
    (project.root / "scipy.py").write_text("raise SystemExit('scipy is imported')")
    dry = project.snakemake("-n", "tuned")
    assert planned_tables(dry.stdout) == {"tuned"}
    assert "tuned: 4 runs to train now" in dry.stdout + dry.stderr and "seeds:" not in dry.stdout + dry.stderr
    dry = project.snakemake("-n", "seeds", check=False)
    assert dry.returncode and "scipy is imported" in dry.stdout + dry.stderr
