"""Being asked to stop: SIGTERM and SIGUSR2 set a flag that the loop reads at its next step."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType

CAUGHT = (signal.SIGTERM, signal.SIGUSR2)


class StopRequest:
    """Remembers the first signal that asked this process to stop.

    ``pass_to`` is a child's process number that is told of each, ``None`` while there is no child.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self.pass_to: int | None = None

    def listen(self) -> StopRequest:
        """Handle SIGTERM and SIGUSR2 from now on; a second signal changes nothing."""
        for number in CAUGHT:
            signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number).name
        if self.pass_to is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pass_to, number)
