"""Any workflow: one that was not written for this executor leaves the files that Snakemake's own leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign_workflow import copy, expected, files


@pytest.mark.slow
def test_same_files_on_this_machine(local: Callable[[str], Any], tmp_path: Path) -> None:
    w = local("")
    w.folder = copy(tmp_path / "ours")
    w.succeed(timeout=300)
    assert files(w.folder) == expected(tmp_path / "local")
