"""Retrain exactly what changed: Snakemake for real on a tiny sweep, and what it says that it would train."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Project
from tests.workflow.conftest import (
    FULL,
    IMAGES,
    MAX_POOL,
    PROBSPARSE,
    SERIES,
    SPARSE,
    TINY,
    planned,
    planned_tables,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(shared_project: Project) -> Project:
    """The tiny sweep, trained."""
    shared_project.configure(TINY)
    done = shared_project.snakemake("all")
    assert "4 to train" in done.stdout + done.stderr and "4 x never run before" in done.stdout + done.stderr
    assert len(shared_project.results()) == 4
    return shared_project


@pytest.fixture
def restored(trained: Project, tmp_path: Path) -> Iterator[Project]:
    """The trained sweep; code, configuration and results are put back afterwards."""
    kept = tmp_path / "kept"
    shutil.copytree(trained.root, kept, symlinks=True)
    yield trained
    shutil.rmtree(trained.root)
    shutil.copytree(kept, trained.root, symlinks=True)


def to_train(project: Project) -> set[str]:
    return set(planned(project.snakemake("-n", "all").stdout))


def tables_to_make(project: Project) -> set[str]:
    return planned_tables(project.snakemake("-n", "all").stdout)


def test_a_second_run_does_nothing_and_says_so(trained: Project) -> None:
    before = {p: p.stat().st_mtime_ns for p in trained.results()}
    done = trained.snakemake("all")
    assert "Nothing to be done" in done.stdout + done.stderr
    assert {p: p.stat().st_mtime_ns for p in trained.results()} == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("favit/aggregators/probsparse.py", '"""ProbSparse fusion', '"""Sparse fusion'),
        (
            "favit/train/loop.py",
            "from __future__ import annotations\n",
            "from __future__ import annotations\n\n# why\n",
        ),
        ("favit/train/life/process.py", "nothing to do", "there is nothing left to do"),
        ("favit/disk/lease.py", "STALE_AFTER = 60.0", "STALE_AFTER = 61.0"),
        ("favit/components/nearest.py", "did you mean", "is it"),
        ("workflow/rules/train.smk", "# One rule trains every run.", "# A single rule trains each run."),
        ("workflow/rules/train.smk", "exec {{params.program}}", "exec {{params.program}}  "),
    ],
)
def test_words_and_layout_retrain_nothing(restored: Project, file: str, old: str, new: str) -> None:
    restored.edit(file, old, new)
    assert to_train(restored) == set()


def test_a_table_s_title_makes_that_table_again(restored: Project) -> None:
    config = restored.config()
    config["sweeps"]["series"]["table"]["caption"] = "Another title"
    restored.configure(config)
    done = restored.snakemake("-n", "all")
    assert planned(done.stdout) == {} and planned_tables(done.stdout) == {"series"}
    restored.snakemake("all")
    assert "Another title" in (restored.root / "results/tables/series.md").read_text()
    assert "Nothing to be done" in restored.snakemake("all").stderr


def test_an_aggregator_retrains_its_runs_only(restored: Project) -> None:
    restored.edit("favit/aggregators/probsparse.py", "from __future__ import annotations\n", MUTATION)
    assert to_train(restored) == {PROBSPARSE}


def test_attention_retrains_its_runs_only(restored: Project) -> None:
    restored.edit("favit/attention/probsparse.py", "from __future__ import annotations\n", MUTATION)
    assert to_train(restored) == {SPARSE}


def test_a_helper_of_one_family_retrains_that_family(restored: Project) -> None:
    restored.edit("favit/models/_fasa.py", "from __future__ import annotations\n", MUTATION)
    assert to_train(restored) == IMAGES


def test_the_training_loop_retrains_all(restored: Project) -> None:
    restored.edit("favit/train/loop.py", "from __future__ import annotations\n", MUTATION)
    assert to_train(restored) == IMAGES | SERIES


def test_how_tables_are_made_makes_only_tables_again(restored: Project) -> None:
    restored.edit("favit/analysis/tables.py", "from __future__ import annotations\n", MUTATION)
    assert to_train(restored) == set()
    assert tables_to_make(restored) == {"series", "images"}


def test_what_nothing_uses_retrains_nothing(restored: Project) -> None:
    unused = "from __future__ import annotations\n\n_UNUSED = True\n"
    restored.edit("favit/train/loop.py", "from __future__ import annotations\n", unused)
    assert to_train(restored) == set()


# A constant that nobody reads, made by what may have effects: importing the file does another thing.
MUTATION = "from __future__ import annotations\n\n_CHANGED = [1].pop()\n"


def test_settings_there_and_back_and_the_same_for_code(restored: Project) -> None:
    config = restored.config()
    changed = copy.deepcopy(config)
    changed["recipes"]["series"]["lr"] = 0.002
    restored.configure(changed)
    reasons = planned(restored.snakemake("-n", "all").stdout)
    assert set(reasons) == SERIES
    assert all(r == "settings: lr 0.001 -> 0.002" for r in reasons.values())
    restored.snakemake("all")
    assert len(restored.results()) == 6
    restored.configure(config)
    assert to_train(restored) == set()
    code = (restored.root / "favit/attention/probsparse.py").read_text()
    restored.edit("favit/attention/probsparse.py", "from __future__ import annotations\n", MUTATION)
    assert to_train(restored) == {SPARSE}
    restored.snakemake("all")
    assert len(restored.results()) == 7
    (restored.root / "favit/attention/probsparse.py").write_text(code)
    assert to_train(restored) == set()


def test_new_seeds_and_aggregators_train_only_what_is_new(restored: Project) -> None:
    config = restored.config()
    config["sweeps"]["series"]["matrix"]["seed"] = [0, 1]
    config["sweeps"]["images"]["matrix"]["aggregator"].append("avg_pool")
    restored.configure(config)
    new = {FULL.replace("seed0", "seed1"), SPARSE.replace("seed0", "seed1"), MAX_POOL.replace("max", "avg")}
    assert to_train(restored) == new
    restored.snakemake("all")
    assert len(restored.results()) == 7


@pytest.mark.parametrize("whole", [True, False])
def test_deleting_a_folder_or_its_result_retrains_that_run(restored: Project, whole: bool) -> None:
    doomed = next(p for p in restored.results() if "max_pool" in str(p))
    before = json.loads(doomed.read_text())
    if whole:
        shutil.rmtree(doomed.parent)
    else:
        doomed.unlink()
    assert to_train(restored) == {MAX_POOL}
    restored.snakemake("all")
    after = json.loads(doomed.read_text())
    assert after["metrics"] == before["metrics"] and after["finished"] > before["finished"]
    assert "Nothing to be done" in restored.snakemake("all").stderr


def test_provenance_and_times_of_snakemake_mean_nothing(restored: Project) -> None:
    shutil.rmtree(restored.root / ".snakemake")
    for path in restored.root.rglob("*"):
        os.utime(path, follow_symlinks=False)
    assert "Nothing to be done" in restored.snakemake("all").stderr
    shutil.rmtree(restored.root / ".snakemake", ignore_errors=True)
    restored.edit("favit/aggregators/probsparse.py", "from __future__ import annotations\n", MUTATION)
    assert to_train(restored) == {PROBSPARSE}


def test_a_clone_with_the_results_and_a_moved_folder_retrain_nothing(
    trained: Project, tmp_path: Path
) -> None:
    clone = Project(tmp_path / "somewhere else" / "clone")
    shutil.copytree(
        trained.root, clone.root, ignore=shutil.ignore_patterns(".snakemake", ".cache", "tables", "snapshots")
    )
    done = clone.snakemake("-n", "all")
    assert planned(done.stdout) == {}
    clone.snakemake("tables")
    assert "Nothing to be done" in clone.snakemake("all").stderr


def test_back_and_forth_in_git_retrains_nothing(restored: Project) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *arguments], cwd=restored.root, check=True, capture_output=True)

    git("init", "-q")
    git("add", "favit", "workflow", "Snakefile", "config.yaml")
    git("commit", "-qm", "one")
    restored.edit("favit/train/loop.py", "from __future__ import annotations\n", MUTATION)
    git("commit", "-qam", "two")
    assert to_train(restored) == IMAGES | SERIES
    git("checkout", "-q", "HEAD~1")
    assert to_train(restored) == set()


def test_results_are_not_retrained_by_force(restored: Project) -> None:
    before = {p: p.read_bytes() for p in restored.results()}
    restored.snakemake("-F", "all")
    assert {p: p.read_bytes() for p in restored.results()} == before
    target = str(restored.results()[0].relative_to(restored.root))
    restored.snakemake("-f", target, check=False)
    assert {p: p.read_bytes() for p in restored.results()} == before


def test_more_than_three_finished_runs_wait_for_confirmation(restored: Project) -> None:
    before = restored.results()
    restored.edit("favit/train/loop.py", "from __future__ import annotations\n", MUTATION)
    stopped = restored.snakemake("all", check=False)
    assert stopped.returncode == 1
    assert "4 finished runs" in stopped.stderr
    assert "code: train/loop.py: " in stopped.stderr and "_CHANGED" in stopped.stderr
    assert "retrain=yes" in stopped.stderr and "Traceback" not in stopped.stderr
    assert restored.results() == before
    restored.snakemake("all", "--config", "retrain=yes")
    assert len(restored.results()) == 8
    assert set(before) <= set(restored.results())


def test_a_queued_run_executes_the_code_that_it_was_fingerprinted_with(
    restored: Project, tmp_path: Path
) -> None:
    config = restored.config()
    config["sweeps"]["series"]["matrix"]["seed"] = [0, 7, 8]
    config["sweeps"]["series"]["matrix"]["aggregator"] = ["full"]
    restored.configure(config)
    # The first of two jobs, which run one after the other, breaks the code as an edit in between would.
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "series"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(restored.root)}
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=restored.root, env=environment, stdout=log, stderr=log)
        pattern = "results/runs/seattle_weather/informer/full/temporal/seed[78]/*/run.json"
        while running.poll() is None and len(list(restored.root.glob(pattern))) < 2:
            pass
        restored.edit(
            "favit/attention/full.py", "from __future__ import annotations\n", "raise SystemExit(9)\n"
        )
        running.wait(timeout=300)
    found = [p for p in restored.results() if "seed7" in str(p) or "seed8" in str(p)]
    assert len(found) == 2, (tmp_path / "log").read_text()[-3000:]
    codes = {json.loads(p.read_text())["fingerprint"]["code"] for p in found}
    assert len(codes) == 1


def test_explain_says_the_state_of_each_run_in_words(restored: Project) -> None:
    lines = restored.python("-m", "favit.explain").stdout.splitlines()
    assert len(lines) == 4 and all(line.startswith("valid") for line in lines)
    restored.edit("favit/aggregators/probsparse.py", "from __future__ import annotations\n", MUTATION)
    lines = restored.python("-m", "favit.explain", "images").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["valid", "missing"]
    assert lines[1].endswith("code: aggregators/probsparse.py: _CHANGED")
    assert planned(restored.snakemake("-n", "all").stdout) == {
        PROBSPARSE: "code: aggregators/probsparse.py: _CHANGED"
    }
    wrong = restored.python("-m", "favit.explain", "imagse", check=False)
    assert wrong.returncode == 1 and "'images'" in wrong.stderr and len(wrong.stderr.splitlines()) == 1


def test_accepted_results_count_and_are_marked(restored: Project) -> None:
    restored.edit("favit/aggregators/probsparse.py", "from __future__ import annotations\n", MUTATION)
    restored.python(
        "-m", "favit.accept", "favit_b0.probsparse.none.seed0", "--why", "a constant nobody reads"
    )
    done = restored.snakemake("all")
    assert planned(done.stdout) == {}
    assert "a constant nobody reads" in (restored.root / "results/tables/images.md").read_text()


def test_a_run_s_folder_says_where_it_came_from(trained: Project) -> None:
    for path in trained.results():
        content: dict[str, Any] = json.loads(path.read_text())
        fingerprint = content["fingerprint"]
        assert path.parent.name == fingerprint["digest"]
        snapshot = trained.root / "results" / "snapshots" / content["snapshot"]
        assert {m.replace(".", "/") for m in fingerprint["modules"] if "." in m} <= {
            str(p.relative_to(snapshot).with_suffix("")).removesuffix("/__init__")
            for p in snapshot.rglob("*.py")
        }
        assert (snapshot / "uncommitted.diff").exists()
        assert content["versions"]["torch"] and content["command"] and content["run"]["seed"] == 0


def test_bad_configuration_is_one_line_and_status_1(restored: Project) -> None:
    config = restored.config()
    config["sweeps"]["images"]["matrix"]["aggregator"] = ["max_pol"]
    restored.configure(config)
    done = restored.snakemake("-n", "all", check=False)
    assert done.returncode == 1
    assert "'max_pol'" in done.stderr and "'max_pool'" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_title_that_comes_back_after_another_is_written_again(restored: Project) -> None:
    def entitled(title: str) -> None:
        config = restored.config()
        config["sweeps"]["series"]["table"]["caption"] = title
        restored.configure(config)

    entitled("One")
    restored.snakemake("series")
    entitled("Two")
    restored.snakemake("tables")  # another rule: Snakemake remembers only what the first one did
    entitled("One")
    restored.snakemake("series")
    assert "One" in (restored.root / "results/tables/series.md").read_text()


def test_what_the_command_line_overrides_reaches_every_command(restored: Project) -> None:
    shutil.copytree(restored.root / "results/runs", restored.root / "other/runs")
    restored.snakemake("series", "--config", "results=other")
    assert (restored.root / "other/tables/series.md").exists()
    config = restored.config()
    config["sweeps"]["series"]["table"]["caption"] = "Mine"
    (restored.root / "mine.yaml").write_text(yaml.safe_dump(config))
    restored.snakemake("series", "--configfile", "mine.yaml")
    assert "Mine" in (restored.root / "results/tables/series.md").read_text()


def test_odd_names_of_folders(restored: Project) -> None:
    config = restored.config()
    config["results"] = "my 'own' $results"
    shutil.move(restored.root / "results", restored.root / config["results"])
    config["sweeps"]["series"]["matrix"]["seed"] = [0, 1]
    restored.configure(config)
    restored.snakemake("series")
    assert len(list((restored.root / config["results"]).rglob("metrics.json"))) == 6
    assert "Nothing to be done" in restored.snakemake("series").stderr


def test_a_duplicate_with_other_numbers_is_shown_in_the_table(restored: Project) -> None:
    folder = next(p.parent for p in restored.results() if "full" in p.parts)
    shutil.copytree(folder, folder.with_name("colleague"))
    twin = folder.with_name("colleague") / "metrics.json"
    content = json.loads(twin.read_text())
    content["metrics"]["mse"] += 1
    twin.write_text(json.dumps(content))
    restored.snakemake("series")
    assert "different numbers exists: colleague" in (restored.root / "results/tables/series.md").read_text()


@pytest.mark.parametrize(
    "file", ["favit/models/_fasa.py", "favit/aggregators/max_pool.py", "favit/analysis/tables.py"]
)
def test_source_that_does_not_parse_is_one_line(restored: Project, file: str) -> None:
    path = restored.root / file
    path.write_text(path.read_text() + "\ndef f(:\n")
    done = restored.snakemake("-n", "all", check=False)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert f"{path}, line" in done.stderr


def test_a_job_that_fails_does_not_destroy_what_another_process_finished(
    restored: Project, tmp_path: Path
) -> None:
    finished = next(p for p in restored.results() if "full" in p.parts)
    shutil.move(finished, tmp_path / "metrics.json")
    snapshot = json.loads((tmp_path / "metrics.json").read_text())["snapshot"]
    (restored.root / "results" / "snapshots" / snapshot / "__main__.py").write_text(
        f"import shutil, sys\nshutil.copy({str(tmp_path / 'metrics.json')!r}, {str(finished)!r})\nsys.exit(3)\n"
    )
    assert restored.snakemake("series", check=False).returncode == 1
    assert finished.exists()
    assert "Nothing to be done" in restored.snakemake("series").stderr


def test_two_at_once_train_each_run_once_and_both_end_well(restored: Project, tmp_path: Path) -> None:
    config = restored.config()
    config["sweeps"]["series"]["matrix"].update(seed=[0, 3], aggregator=["full"])
    restored.configure(config)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", "series"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(restored.root)}
    logs = [tmp_path / "one", tmp_path / "two"]
    both = [
        subprocess.Popen(command, cwd=restored.root, env=environment, stdout=log.open("w"), stderr=-2)
        for log in logs
    ]
    ends = [process.wait(timeout=300) for process in both]
    said = [log.read_text() for log in logs]
    assert ends == [0, 0], "\n".join(said)
    assert sum(text.count("finished: mse") for text in said) == 1, "\n".join(said)
    assert len([p for p in restored.results() if "seed3" in p.parts]) == 1


def test_after_a_kill_the_demonstration_s_command_goes_on(restored: Project, tmp_path: Path) -> None:
    (command,) = re.findall(r"\$\(BIN\)/snakemake demo ([^'\n]*)", (ROOT / "Makefile").read_text())
    options = command.replace("$(CORES)", "1").split()
    config = restored.config()
    config["groups"] = {"demo": ["series"]}
    config["sweeps"]["series"]["matrix"].update(seed=[0, 4], aggregator=["full"])
    restored.configure(config)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(restored.root)}
    with (tmp_path / "log").open("w") as log:
        killed = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "demo", *options],
            cwd=restored.root,
            env=environment,
            stdout=log,
            stderr=log,
        )
        while killed.poll() is None and not list(
            restored.root.glob("results/runs/*/*/*/*/seed4/*/lease.json")
        ):
            time.sleep(0.01)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert (restored.root / ".snakemake" / "incomplete").is_dir()
    restored.snakemake("demo", *options)
    assert len([p for p in restored.results() if "seed4" in p.parts]) == 1
