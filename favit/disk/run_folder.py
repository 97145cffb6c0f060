"""The files in a run's folder: their names, and which of them mark a finished run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.disk.files import write_atomic

METRICS = "metrics.json"
ACCEPTANCES = "accepted.json"
CHECKPOINTS = "checkpoint-*.pt"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. Each is written whole or not at all; none of them needs to be there."""

    path: Path

    @property
    def request(self) -> Path:
        """The request: settings, fingerprint, commit and snapshot, written before the job is queued."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """The result. It is written last: where it is, everything else is there, too."""
        return self.path / METRICS

    @property
    def spare_metrics(self) -> Path:
        """The result under a second name. Snakemake deletes the first when it starts a finished run's job again."""
        return self.path / f".{METRICS}"

    @property
    def history(self) -> Path:
        """The history: a row of scores for each epoch."""
        return self.path / "history.csv"

    @property
    def predictions(self) -> Path:
        """The scores of each test example."""
        return self.path / "predictions.npz"

    @property
    def weights(self) -> Path:
        """The weights that were scored, where they are kept; a run of before may have them under their old name."""
        new, old = self.path / "weights.safetensors", self.path / "weights.pt"
        return old if old.is_file() and not new.is_file() else new

    @property
    def log(self) -> Path:
        """The log of the run."""
        return self.path / "train.log"

    @property
    def loggers_log(self) -> Path:
        """The output of its loggers, which run in processes of their own; absent if they printed nothing."""
        return self.path / "loggers.log"

    def logged(self, logger: str) -> Path:
        """The number of the last epoch that this logger was given."""
        return self.path / f".logged-{hashlib.sha256(logger.encode()).hexdigest()[:8]}"

    @property
    def trace(self) -> Path:
        """A profile of some steps, where one was asked for."""
        return self.path / "trace.json"

    @property
    def acceptances(self) -> Path:
        """The record of other code that this result was declared valid for."""
        return self.path / ACCEPTANCES

    @property
    def is_finished(self) -> bool:
        """True if the run has its result."""
        return self.metrics.exists()

    def checkpoint(self, position: int) -> Path:
        """The checkpoint after ``position`` steps."""
        return self.path / f"checkpoint-{position:010d}.pt"

    def checkpoints(self) -> list[Path]:
        """The checkpoints that are there, the newest first."""
        return sorted(self.path.glob(CHECKPOINTS), reverse=True)

    def write_request(self, content: Any) -> None:
        """Write ``run.json``, unless it already has this content."""
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
        if not self.request.is_file() or self.request.read_text(encoding="utf-8") != text:
            write_atomic(self.request, text)

    def write_metrics(self, content: Any) -> None:
        """Write the result under both names."""
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        for path in (self.spare_metrics, self.metrics):
            write_atomic(path, text)

    def restore_metrics(self) -> None:
        """Give the result its first name back."""
        write_atomic(self.metrics, self.spare_metrics.read_bytes())

    def forget_metrics(self) -> None:
        """Remove the second name of a result whose first one was deleted, so that it does not come back."""
        if not self.is_finished:
            self.spare_metrics.unlink(missing_ok=True)

    def remove_checkpoints(self) -> None:
        """Delete all checkpoints."""
        for path in self.checkpoints():
            path.unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Delete the temporary files of a life that ended while it wrote."""
        for path in self.path.glob(".*.tmp"):
            path.unlink(missing_ok=True)
