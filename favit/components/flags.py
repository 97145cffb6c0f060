"""Yes-or-no facts that a mechanism's file may state at its top level, and what holds where it does not."""

from __future__ import annotations

from favit.components.literals import literals

DEFAULTS: dict[str, dict[str, bool]] = {
    "encodings": {
        "IMAGES": True,  # may be chosen for images
        "SERIES": True,  # may be chosen for series
        "TIME": True,  # a forecaster sees the calendar
        "ADDS_POSITION": True,  # its vectors are added, or reach the attention; models skip it otherwise
    },
    "aggregators": {
        "USES_SAMPLES": True,  # its tokens depend on the windows' samples, and so on the image
    },
    "attention": {
        "POSITION_INSIDE": False,  # takes position as arguments of its own instead of at the model's input
    },
}


def flag(room: str, name: str, which: str) -> bool:
    """A flag of a mechanism's file. ``ValueError`` for a value that is neither True nor False."""
    value = literals(room, name).get(which, DEFAULTS[room][which])
    if not isinstance(value, bool):
        raise ValueError(f"favit/{room}/{name}.py: {which} must be True or False, not {value!r}")
    return value


def check_flags(room: str, name: str) -> None:
    """``ValueError`` for a flag that is neither True nor False."""
    for which in DEFAULTS.get(room, ()):
        flag(room, name, which)
