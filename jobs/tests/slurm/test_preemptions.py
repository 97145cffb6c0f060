"""The short form of `tests/preemptions.py`, whose long form preempts a thousand times."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[1] / "preemptions.py"


def test_none_fails_is_lost_or_done_twice(cluster: Any, tmp_path: Path) -> None:
    specification = importlib.util.spec_from_file_location("preemptions", SCRIPT)
    assert specification is not None and specification.loader is not None
    preemptions = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(preemptions)
    result = preemptions.run(cluster, tmp_path / "work", "requeue", preemptions=20, tasks=20, seed=1)
    assert preemptions.good(result) and result["preemptions"] >= 20, result
