"""A file under `update()` survives a job that fails, as it does with Snakemake's local executor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FAILING = """
rule append:
    output: update("kept")
    {more}
    shell: "echo more >> {{output}}; exit 1"
"""
NESTED = 'benchmark: "times"'  # only a nested Snakemake takes them

RETRIED = """
rule append:
    output: update("kept")
    shell: "echo more >> {output}; if [ ! -e second ]; then touch second; exit 1; fi"
"""

FOLDER = """
rule fill:
    output: update(directory("kept"))
    shell: "touch kept/more; [ -e succeed ]"
"""

SLOW = """
rule append:
    output: update("kept")
    shell: "echo more >> {output}; if [ -e go ]; then exit 0; fi; touch started; sleep 60"
"""


def backups(folder: Path) -> list[Path]:
    return [path for path in (folder / ".snakemake/backups").rglob("*") if path.is_file()]


def run_locally(w: Any, *options: str) -> str:
    """The same workflow by Snakemake's own local executor."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", *options]
    done = subprocess.run(command, cwd=w.folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "keep", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["", "keep-incomplete"]
)
@pytest.mark.parametrize(
    "way",
    [
        pytest.param("local executor", marks=pytest.mark.slow),
        "plain",
        pytest.param("nested", marks=pytest.mark.slow),
    ],
)
def test_forced_failure_keeps_the_file_as_it_was(local: Callable[[str], Any], way: str, keep: bool) -> None:
    w = local(FAILING.format(more=NESTED if way == "nested" else ""))
    (w.folder / "kept").write_text("before\n")
    options = ["--forcerun", "append", *(["--keep-incomplete"] if keep else []), "--", "kept"]
    said = run_locally(w, *options) if way == "local executor" else w.fail(*options)
    assert w.read("kept") == "before\n"
    assert "Restored previous version of kept" in said and "Cannot restore" not in said
    assert backups(w.folder) == []
    if way != "local executor":
        assert [task["nested"] for task in w.tasks()] == [way == "nested"]


@pytest.mark.parametrize("more", ["", pytest.param(NESTED, marks=pytest.mark.slow)], ids=["plain", "nested"])
def test_success_updates_the_file_and_leaves_no_backup(local: Callable[[str], Any], more: str) -> None:
    w = local(FAILING.format(more=more).replace("; exit 1", ""))
    (w.folder / "kept").write_text("before\n")
    w.succeed("--forcerun", "append", "--", "kept")
    assert w.read("kept") == "before\nmore\n" and backups(w.folder) == []


@pytest.mark.slow
def test_second_attempt_begins_with_the_file_as_it_was(local: Callable[[str], Any]) -> None:
    w = local(RETRIED)
    (w.folder / "kept").write_text("before\n")
    w.succeed("--retries", "1", "--forcerun", "append", "--", "kept")
    assert w.read("kept") == "before\nmore\n" and backups(w.folder) == []


@pytest.mark.slow
def test_folders_are_kept_too(local: Callable[[str], Any]) -> None:
    w = local(FOLDER)
    (w.folder / "kept").mkdir()
    (w.folder / "kept/before").touch()
    stale = w.folder / ".snakemake/backups/kept"  # what a workflow that was killed may leave
    stale.mkdir(parents=True)
    (stale / "stale").touch()
    w.fail("--forcerun", "fill", "--", "kept")
    assert {path.name for path in (w.folder / "kept").iterdir()} - {".snakemake_timestamp"} == {"before"}
    (w.folder / "succeed").touch()
    w.succeed("--forcerun", "fill", "--", "kept")
    assert (w.folder / "kept/more").exists() and backups(w.folder) == []


@pytest.mark.slow
def test_start_after_a_cancelled_one_begins_with_the_file_as_it_was(local: Callable[[str], Any]) -> None:
    """Nobody restored it: the main process ended together with its jobs."""
    import signal

    w = local(SLOW)
    (w.folder / "kept").write_text("before\n")
    first = w.start("--forcerun", "append", "--", "kept")
    w.until(lambda: (w.folder / "started").exists())
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 1
    (w.folder / "go").touch()
    w.succeed("--forcerun", "append", "--", "kept")
    assert w.read("kept") == "before\nmore\n" and backups(w.folder) == []
