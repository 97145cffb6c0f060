"""Top-5 says something only where there are more than five classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from favit.components.facts import stated

_FIVE = 5


def only_where_it_says_something(content: Mapping[str, Any], predictions: Path) -> Mapping[str, Any]:
    """The content of a ``metrics.json``, without Top-5 where the data have five classes or fewer."""
    scores = content.get("metrics", {})
    if "top5" not in scores:
        return content
    classes = _classes(content, predictions)
    if classes is None or classes > _FIVE:
        return content
    return {**content, "metrics": {name: value for name, value in scores.items() if name != "top5"}}


def _classes(content: Mapping[str, Any], predictions: Path) -> int | None:
    """How many classes the data set states, else as many as the test shows; None where neither is known."""
    facts = stated(content.get("run", {}).get("dataset", ""))
    if facts is not None:
        return int(facts["classes"])
    try:
        with np.load(predictions) as arrays:
            return 1 + int(max(arrays[name].max() for name in ("labels", "predicted")))
    except (OSError, KeyError, ValueError):
        return None
