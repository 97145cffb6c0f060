"""The first commands of the README, typed on a machine that has nothing yet, give the table that it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from favit.identity.closure import ROOT
from tests import markdown
from tests.test_docs_commands import copy_tracked

README = ROOT / "README.md"
DEMO = "make demo"
OTHERS = ("make test",)  # what runs this


def cells(table: str) -> list[list[str]]:
    """The rows of a Markdown table without its rule and without emphasis, cell by cell."""
    plain = re.sub(r"</?u>|\*\*", "", table)
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in plain.splitlines()]
    return [row for row in rows if set("".join(row)) - set("-: ")]


def tables(text: str) -> list[list[list[str]]]:
    """All tables of a text."""
    return [cells(found) for found in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)]


def first_commands() -> list[str]:
    """What the README's first block of commands has people type, comments left out."""
    (block, *_) = [found for found in markdown.blocks(README) if DEMO in found.text]
    assert block.line < 60, "it is on the first screen"
    return [line.partition("#")[0].strip() for line in block.text.splitlines()]


def shown() -> list[list[str]]:
    """The table that follows them."""
    return tables(README.read_text(encoding="utf-8").partition(f"\n{DEMO}")[2])[0]


def test_the_first_screen_has_commands_and_a_table() -> None:
    assert first_commands()[0] == DEMO and set(first_commands()) <= {DEMO, *OTHERS}
    head, *rows = shown()
    assert len(head) > 4 and len(rows) > 4


def packages_can_be_fetched(folder: Path) -> bool:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "iniconfig"]
    return subprocess.run(command, capture_output=True, timeout=300).returncode == 0


@pytest.mark.slow
def test_a_fresh_environment_gets_the_table(tmp_path: Path) -> None:
    """Sets up an environment of its own: some minutes, 2 GB."""
    if not packages_can_be_fetched(tmp_path):
        pytest.skip("no index of packages is reached, and a fresh environment cannot be made")
    project = copy_tracked(tmp_path / "project")
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "MAKEFLAGS", "MAKELEVEL")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    here = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join(
        part for part in environment.get("PATH", os.defpath).split(os.pathsep) if part != here
    )
    # PYTHON: `python3` of a machine may be older than what the README asks for.
    outside = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    done = subprocess.run(
        ["bash", "-c", DEMO], cwd=project, env={**environment, "PYTHON": outside}, capture_output=True, text=True,
        timeout=3 * 3600,
    )  # fmt: skip
    shutil.rmtree(project / ".venv", ignore_errors=True)  # pytest keeps the folders of some runs
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    alike = [found for found in tables(done.stdout) if found[0] == shown()[0]]
    assert alike, done.stdout[-3000:]
    compare(alike[0], shown())


def compare(printed: list[list[str]], promised: list[list[str]]) -> None:
    """Same rows and costs; scores as near as another processor's roundings leave those of a short training."""
    assert [row[0] for row in printed] == [row[0] for row in promised]
    scores = [
        n for n, name in enumerate(promised[0]) if re.fullmatch(r"MSE|MAE|Top-1 \(%\)|Top-5 \(%\)", name)
    ]
    exact = [n for n, name in enumerate(promised[0]) if name.startswith(("Params", "FLOPs")) or name == "n"]
    assert scores and len(exact) == 3
    for ours, theirs in zip(printed[1:], promised[1:], strict=True):
        assert [ours[n] for n in exact] == [theirs[n] for n in exact]
        for n in scores:
            assert float(ours[n]) == pytest.approx(float(theirs[n]), rel=0.1), (ours[0], promised[0][n])


def test_another_table_is_not_taken_for_it() -> None:
    promised = shown()
    compare(promised, promised)

    def with_cell(name: str, value: str) -> list[list[str]]:
        at = promised[0].index(name)
        return [*promised[:-1], [*promised[-1][:at], value, *promised[-1][at + 1 :]]]

    score = next(name for name in promised[0] if name in ("MSE", "Top-1 (%)"))
    for other in (
        promised[:-1],
        with_cell(score, "0.001"),
        with_cell("n", "2"),
        with_cell(promised[0][0], "x"),
    ):
        with pytest.raises(AssertionError):
            compare(other, promised)
