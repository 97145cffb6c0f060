"""What Snakemake is offered: only what must be made has a rule, whatever is forced, dated or asked for by its path."""

from __future__ import annotations

import copy
import os
import re
import tempfile
import time
from pathlib import Path

import pytest

from favit.identity.closure import ROOT
from favit.sweeps.config import RESERVED, ConfigError, parse
from tests.conftest import Project
from tests.workflow.conftest import TINY, planned, planned_tables


@pytest.fixture(scope="module")
def trained(shared_project: Project) -> Project:
    """The tiny sweep over series, trained."""
    shared_project.configure(TINY)
    shared_project.snakemake("series")
    return shared_project


def files_of(project: Project) -> dict[Path, int]:
    """Every file but caches and Snakemake's own, and when it was written."""
    left_out = {".snakemake", ".cache", "__pycache__"}
    paths = (p for p in project.root.rglob("*") if not left_out & set(p.relative_to(project.root).parts))
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize("forced", [["--forceall"], ["--forcerun", "train"], ["--force"]])
def test_a_valid_result_is_touched_by_nothing(trained: Project, forced: list[str]) -> None:
    assert planned(trained.snakemake("-n", "series", *forced).stdout) == {}


@pytest.mark.slow
def test_no_rule_makes_a_result_that_is_there_or_that_no_sweep_asks_for(trained: Project) -> None:
    result = trained.results()[0]
    nowhere = result.parent.with_name("0" * 12) / result.name
    for path in (result, nowhere):
        done = trained.snakemake("-n", str(path.relative_to(trained.root)), check=False)
        assert done.returncode == 1
        assert "its-result-is-there-or-no-sweep-asks-for-it" in done.stdout + done.stderr


@pytest.mark.slow
def test_very_many_missing_runs_beside_a_finished_one(project: Project) -> None:
    config = copy.deepcopy(TINY)
    matrix = config["sweeps"]["series"]["matrix"]
    matrix.update(aggregator=["cross_terms"], encoding=["sinusoidal"], seed=list(range(600)))
    del config["sweeps"]["series"]["table"]
    project.configure(config)
    assert len(planned(project.snakemake("-n", "term_variance").stdout)) == 600


@pytest.mark.slow
@pytest.mark.parametrize("days", [-1000, 1000])
def test_times_of_tables_mean_nothing(trained: Project, days: int) -> None:
    table = trained.root / "results" / "tables" / "series.csv"
    when = time.time() + days * 86400
    os.utime(table, (when, when))
    assert "Nothing to be done" in trained.snakemake("series").stderr
    content = table.read_text()
    table.write_text(content + "a line of another table\n")
    os.utime(table, (when, when))
    assert planned_tables(trained.snakemake("-n", "series").stdout) == {"series"}
    trained.snakemake("series")
    assert table.read_text() == content
    assert "Nothing to be done" in trained.snakemake("series").stderr


@pytest.mark.slow
def test_a_dry_run_writes_nothing_but_caches(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained.root / "results" / "tables" / "series.md").write_text("another table")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    tempfile.tempdir = None
    before = files_of(trained)
    assert planned_tables(trained.snakemake("-n", "all", "report").stdout) == {"series", "images"}
    assert files_of(trained) == before
    assert list(scratch.iterdir()) == []


def test_no_sweep_or_group_takes_the_name_of_a_rule() -> None:
    rules = {
        name
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)
    }
    assert "prepare" in rules
    body = {"matrix": {"dataset": ["digits"]}}
    for name in (*(rule for rule in rules if "_" not in rule), *RESERVED):
        with pytest.raises(ConfigError, match="already has this name"):
            parse({"sweeps": {name: body}})
        with pytest.raises(ConfigError, match="already has this name"):
            parse({"sweeps": {"s": body}, "groups": {name: ["s"]}})
