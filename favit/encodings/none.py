"""No encoding at all: neither position nor, in a forecaster, time."""

from __future__ import annotations

from favit.encodings._absent import NoPosition

IMAGES = True
SERIES = True
TIME = False
ADDS_POSITION = False


class Encoding(NoPosition):
    """Adds nothing; a forecaster is left with its value embedding alone."""
