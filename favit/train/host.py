"""The interface between a trainer and whoever runs it. Nothing that a host does may change a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# One epoch of the history
Row = dict[str, Any]
# Tensors, numbers, texts, lists and dicts: what ``torch.load(weights_only=True)`` takes
TrainerState = dict[str, Any]


class Host(Protocol):
    """A run's life as its trainer sees it. ``load`` and ``save`` are asked of the first process only."""

    def stop_reason(self) -> str | None:
        """Why this process is to save and stop, ``None`` while it is not; asked at each step."""
        ...

    def load(self) -> bytes | None:
        """The newest packed state that this run can go on from; ``None`` if there is none."""
        ...

    def save(self, position: int, state: bytes, history: Sequence[Row]) -> None:
        """Keep the packed state at ``position`` (steps of the run behind it), and the history so far; may raise."""
        ...

    def resumed(self, epoch: int, step: int, steps: int, processes: tuple[int, int]) -> None:
        """The run goes on at this epoch (from 0) and step; ``processes`` are then's and now's number."""
        ...

    def epoch_begins(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """An epoch (from 0) of ``steps`` steps begins, ``done`` of which are behind it."""
        ...

    def step_ends(self, loss: float | None) -> None:
        """A step further; ``loss`` is the latest that is known without waiting for the device."""
        ...

    def steps_end(self) -> None:
        """All steps of the epoch are done; its scoring begins."""
        ...

    def measured(self) -> Mapping[str, Any]:
        """Further columns of the history's next row, such as memory."""
        ...

    def epoch_ends(self, row: Row, scored: str, epochs: int, unit: str) -> None:
        """The epoch is saved; ``scored`` is the part of the data that its scores are of."""
        ...
