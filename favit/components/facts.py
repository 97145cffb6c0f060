"""The facts about a data set that a model needs: classes of images, or variables and time features of a series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from favit.components.literals import literals


def stated(dataset: str) -> Mapping[str, Any] | None:
    """``FACTS`` in the data set's file, known without its data; None if they follow from a file of the user's."""
    return literals("data", dataset).get("FACTS")


def feed_of(dataset: str) -> str:
    """The module in ``favit/train/feeds`` that brings a data set's images to the device."""
    return str(literals("data", dataset).get("FEED", "memory"))


def facts(dataset: str, data: Any) -> Mapping[str, Any]:
    """The facts of a data set that has been loaded: those it states, else those that its data count.

    Raises ``ValueError`` if it states something else than its data hold: costs are counted from the one,
    models built from either.
    """
    said, counted = stated(dataset), getattr(data, "facts", None)
    if said is not None and counted is not None and dict(said) != dict(counted):
        raise ValueError(
            f"favit/data/{dataset}.py states FACTS {dict(said)}, but its data hold {dict(counted)}"
        )
    found = counted if said is None else said
    if found is None:
        raise ValueError(f"favit/data/{dataset}.py must state FACTS")
    return found
