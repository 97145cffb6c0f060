"""What a model must know of a user's file or folder, counted without loading all of it.

Apart from what loads the data, which is part of a run's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.components import registry
from favit.components.flat import own
from favit.data import _index, _pictures


def facts_of(root: Path, run: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The facts of ``csv`` and ``image_folder``; None for other data sets. Raises as their loading does."""
    if run["dataset"] == "csv":
        found: Mapping[str, Any] = registry.load("data", "csv").load(root, run).facts
        return found
    if run["dataset"] != "image_folder":
        return None
    chosen = registry.load("data", "image_folder").Settings(**own(run, "dataset"))
    folder = Path(root) / chosen.path
    if (folder / _index.NAME).is_file():
        classes = _index.read_unchecked(folder).classes
    else:
        classes = _pictures.listed(folder, chosen.scored, chosen.test_share, chosen.split_seed).classes
    return {"classes": len(classes), "channels": 3}
