"""The information about a run that its loggers get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class About:
    """A run as its loggers see it.

    name: ``digits.favit_b0.probsparse.none.seed0``, for people. digest: tells the run from all others, the same in
    each of its lives. settings: all that the result depends on, flat. folder: the run's, to write into.
    """

    name: str
    digest: str
    settings: Mapping[str, Any]
    folder: Path

    @property
    def group(self) -> str:
        """The name without its seed."""
        return self.name.rpartition(".seed")[0]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "settings": dict(self.settings), "folder": str(self.folder)}

    @classmethod
    def of_json(cls, plain: Mapping[str, Any]) -> About:
        """The inverse."""
        return cls(**{**plain, "folder": Path(plain["folder"])})
