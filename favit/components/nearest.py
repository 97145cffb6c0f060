"""The answer to a name that does not exist: the nearest one that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """The sentence that answers a wrong name: the nearest valid one, then all of them."""
    valid = list(valid)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    if near:
        return f"unknown {what}; did you mean '{near[0]}'? Valid: {', '.join(valid)}"
    return f"unknown {what}; valid: {', '.join(valid)}"
