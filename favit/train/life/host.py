"""A run's host: stops it when asked, keeps its checkpoints, reports its progress and measures its time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from favit.disk.lease import Lease
from favit.disk.run_folder import RunFolder
from favit.train.host import Row
from favit.train.life import checkpoints, machine, record
from favit.train.life.reporter import Reporter, epoch_line
from favit.train.life.signals import StopRequest
from favit.train.life.trace import Trace
from favit.train.loggers.feed import Feeds


class RunHost:
    """Hosts one run in one folder; ``identity`` is what a checkpoint must share to be gone on from."""

    def __init__(
        self,
        folder: RunFolder,
        identity: str,
        device: torch.device,
        stop: StopRequest,
        lease: Lease | None,
        reporter: Reporter,
        loggers: Feeds,
        trace: Trace | None = None,
    ) -> None:
        self.folder, self.reporter, self.loggers = folder, reporter, loggers
        self._trace = trace
        self._identity, self._device, self._stop, self._lease = identity, device, stop, lease
        self._earlier_seconds = 0.0
        self._born = time.monotonic()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")  # of the run's first life

    @property
    def seconds(self) -> float:
        """Wall time of the run over all its lives."""
        return self._earlier_seconds + time.monotonic() - self._born

    def stop_reason(self) -> str | None:
        """The signal that came, or that another process has taken over."""
        if self._lease is not None and self._lease.fenced:
            return self._stop.received or "another process"
        return self._stop.received

    def load(self) -> bytes | None:
        """The newest usable checkpoint of this run; what is passed over is told."""
        found = checkpoints.load(self.folder, self._identity, self.reporter.say)
        if found is None:
            self.loggers.begins_anew()
            return None
        state, life = found
        self._earlier_seconds, self.started = life["seconds"], life["started"]
        return state

    def save(self, position: int, state: bytes, history: Sequence[Row]) -> None:
        """Write a checkpoint and the history; raises ``Fenced`` where another process is at work by now."""
        self.check_lease()
        life = {"seconds": self.seconds, "started": self.started}
        checkpoints.save(self.folder, position, self._identity, state, life)
        record.write_history(self.folder, history)
        self.loggers.offer(history)

    def resumed(self, epoch: int, step: int, steps: int, processes: tuple[int, int]) -> None:
        """Report where the run resumes."""
        then, now = processes
        if then != now:
            self.reporter.say(
                f"the checkpoint was written by {then} processes, now there are {now}: the numbers will differ "
                "from those of an uninterrupted run"
            )
        self.reporter.say(f"resumed at epoch {epoch + 1}, step {step} of {steps}")

    def epoch_begins(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Show a progress bar for the epoch."""
        self.reporter.begin_epoch(epoch, epochs, steps, done)

    def step_ends(self, loss: float | None) -> None:
        """Advance the progress bar."""
        self.reporter.step(loss)
        if self._trace is not None and self._trace.step():
            self.reporter.say(f"wrote a trace of some steps to {self.folder.trace}")

    def steps_end(self) -> None:
        """Remove the progress bar."""
        self.reporter.end_epoch()

    def measured(self) -> Mapping[str, Any]:
        """The most memory that was in use, in bytes."""
        return {"memory_bytes": machine.peak_memory(self._device)}

    def epoch_ends(self, row: Row, scored: str, epochs: int, unit: str) -> None:
        """Report the scores of the epoch and the time left."""
        left = self.seconds / row["epoch"] * (epochs - row["epoch"])
        self.reporter.say(epoch_line(row, scored, epochs, left, unit))

    def check_lease(self) -> None:
        """Raise ``Fenced`` rather than write where another process is at work by now."""
        if self._lease is not None:
            self._lease.check()
