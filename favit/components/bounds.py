"""Bounds of a setting, written in its annotation: ``factor: Annotated[int, AtLeast(1)] = 5``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AtLeast:
    """The value is this or larger."""

    limit: float


@dataclass(frozen=True)
class AtMost:
    """The value is this or smaller."""

    limit: float


@dataclass(frozen=True)
class Above:
    """The value is larger than this."""

    limit: float


@dataclass(frozen=True)
class Below:
    """The value is smaller than this."""

    limit: float
