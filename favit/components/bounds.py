"""Bounds of a setting in its annotation: ``factor: Annotated[int, AtLeast(1)] = 5``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Bound(ABC):
    """A bound of a number."""

    limit: float
    words: ClassVar[str]

    @abstractmethod
    def allows(self, value: float) -> bool:
        """Whether a value keeps to it."""


@dataclass(frozen=True)
class AtLeast(Bound):
    """The value is this or larger."""

    words: ClassVar[str] = "at least"

    def allows(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value >= self.limit


@dataclass(frozen=True)
class AtMost(Bound):
    """The value is this or smaller."""

    words: ClassVar[str] = "at most"

    def allows(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value <= self.limit


@dataclass(frozen=True)
class Above(Bound):
    """The value is larger than this."""

    words: ClassVar[str] = "above"

    def allows(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value > self.limit


@dataclass(frozen=True)
class Below(Bound):
    """The value is smaller than this."""

    words: ClassVar[str] = "below"

    def allows(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value < self.limit


BOUNDS: dict[str, type[Bound]] = {kind.__name__: kind for kind in (AtLeast, AtMost, Above, Below)}


@dataclass(frozen=True)
class FromModel:
    """Marks a keyword that the model passes, which is no setting: ``width: Annotated[int, FromModel()]``."""
