"""The neutral value of a setting added later: ``rank: Annotated[int, Neutral(0)] = 4``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Neutral:
    """The value under which training does what it did before the setting existed.

    A result without the setting counts as one with this value, so that a new setting retrains nothing by itself.
    """

    value: bool | int | float | str
