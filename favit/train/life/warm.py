"""Import what several runs share once, before the first of them.

Only what all of them import, in the order in which each does: an import that changes something, a switch of torch
say, changes it for those runs alone that make it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from favit.components import registry
from favit.components.literals import family_of, task_of


def imports(requests: Sequence[str]) -> None:
    """Import what all of these runs import; what is wrong with one is left for that run to say."""
    importlib.import_module(
        "torch._inductor.config"
    )  # as torch does where a run sets its switches: half a start
    found = [_settings(request) for request in requests]
    with contextlib.suppress(Exception):
        (task,) = {task_of(run["dataset"]) for run in found}
        importlib.import_module(f"favit.train.tasks.{task}")
        (dataset,) = {run["dataset"] for run in found}
        registry.load("data", dataset)
        (family,) = {family_of(run["model"]) for run in found}
        registry.load("models", family)


def _settings(request: str) -> dict[str, Any]:
    """A run's flat settings, bare or in an envelope; empty if they cannot be read."""
    try:
        content = json.loads(Path(request).read_text(encoding="utf-8"))
        run = content.get("run", content)
    except (OSError, ValueError, AttributeError):
        return {}
    return run if isinstance(run, dict) else {}
