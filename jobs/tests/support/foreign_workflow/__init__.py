"""A workflow that knows nothing of this executor and uses much of what Snakemake can do.

`expected` runs it by Snakemake's local executor; whoever else runs it must leave the same files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

WORKFLOW = Path(__file__).with_name("workflow")
NAME = "it's 50% of a dir"  # the working directory's


def copy(folder: Path, name: str = NAME) -> Path:
    """Copy the workflow into a folder of an awkward name."""
    return Path(shutil.copytree(WORKFLOW, folder / name, dirs_exist_ok=True))


def files(folder: Path) -> dict[str, str]:
    """Return path -> content of everything that a run has left, without Snakemake's and the test's own files."""
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = "benchmark" if "benchmark" in name else path.read_text() if path.is_file() else "folder"
    return found


def expected(folder: Path) -> dict[str, str]:
    """Run it here by Snakemake's local executor and return the files."""
    work = copy(folder)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", "--keep-going"],
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return files(work)
