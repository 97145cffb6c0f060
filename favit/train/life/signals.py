"""Being asked to stop: SIGTERM and SIGUSR2 set a flag that the loop reads at its next step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Processes started inside never see SIGUSR2; this one does, afterwards at the latest.

    A signal mask is inherited by fork and by exec, unlike a handler, so that a
    spawned data worker is safe from its first instruction on: a signal sent to
    the whole process group would otherwise kill it while it is still importing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
