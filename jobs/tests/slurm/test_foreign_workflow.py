"""Any workflow, in a folder of an awkward name, leaves the files that Snakemake's local executor leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from foreign_workflow import copy, expected, files

NAME = "it's 50%j of a dir"  # what SLURM would fill in


def test_same_files_on_slurm(sweep: Callable[..., Any], tmp_path: Path) -> None:
    s = sweep("", name=NAME)
    copy(tmp_path, NAME)
    s.succeed(timeout=300)
    assert files(s.folder) == expected(tmp_path / "local")
