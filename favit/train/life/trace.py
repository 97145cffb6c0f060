"""A trace of some steps, for chrome://tracing or Perfetto; it costs these steps time and changes no number."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from favit.disk.files import atomic_path

SKIPPED, TRACED = 5, 5  # steps: the first of a life are not like the others


class Trace:
    """Traces the steps after the first few of a life; ``step`` at the end of each, ``close`` at the end of all."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path
        self._what = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
        self._steps = 0
        self._profile: profile | None = None

    def step(self) -> bool:
        """A step has ended; whether the trace has just been written."""
        self._steps += 1
        if self._steps == SKIPPED:
            self._profile = profile(activities=self._what, record_shapes=True)
            self._profile.start()
        return self._steps == SKIPPED + TRACED and self.close()

    def close(self) -> bool:
        """Write what has been traced, if it has not been written yet; whether there was anything."""
        running, self._profile = self._profile, None
        if running is None:
            return False
        running.stop()
        with atomic_path(self._path) as temporary:
            running.export_chrome_trace(str(temporary))
        return True
