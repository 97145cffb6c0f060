"""Numbers that come from the device without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor


class Latest:
    """The last number that has arrived from the device; asking never waits for it.

    On a GPU a copy to pinned memory is queued behind the step that computes the
    number, and read once its event has passed.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._value: float | None = None
        if self._cuda:
            self._host = torch.empty((), pin_memory=True)
            self._arrived: torch.cuda.Event | None = None

    def offer(self, number: Tensor) -> float | None:
        """Queue ``number`` (a scalar) if none is on its way; returns the latest arrived, at first ``None``."""
        if not self._cuda:
            return float(number)
        if self._arrived is not None and self._arrived.query():
            self._value, self._arrived = float(self._host), None
        if self._arrived is None:
            self._host.copy_(number, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()
        return self._value
