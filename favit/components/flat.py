"""A component's own settings within a run's flat ones, where they stand as ``aggregator.factor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def own(run: Mapping[str, Any], axis: str) -> dict[str, Any]:
    """The settings of the component on an axis, without its prefix; those left out have their defaults."""
    prefix = f"{axis}."
    return {key.removeprefix(prefix): value for key, value in run.items() if key.startswith(prefix)}
