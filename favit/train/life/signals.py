"""Being asked to stop: SIGTERM and SIGUSR2 set a flag that the loop reads at its next step."""

from __future__ import annotations

import signal
from types import FrameType

CAUGHT = (signal.SIGTERM, signal.SIGUSR2)


class StopRequest:
    """Remembers the first signal that asked this process to stop."""

    def __init__(self) -> None:
        self.received: str | None = None

    def listen(self) -> StopRequest:
        """Handle SIGTERM and SIGUSR2 from now on; a second signal changes nothing."""
        for number in CAUGHT:
            signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number).name
