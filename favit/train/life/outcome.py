"""The end of a run: ``metrics.json`` last, so that whoever sees it finds all the rest."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from favit.disk.files import atomic_path, write_atomic
from favit.train.life import checkpoints, machine, record
from favit.train.life.host import RunHost
from favit.train.life.request import Request
from favit.train.loop import Diverged, Trainer
from favit.train.task import Result

# The result's second name. Whatever starts a finished run's job again, a second snakemake or a requeue, removes
# `metrics.json` first: it is the job's declared output.
SECOND_NAME = ".metrics.json"


def is_there(folder: Path, wanted: Request) -> bool:
    """Whether the folder holds this run's result; one whose first name was removed gets it back."""
    if _is_of(folder / "metrics.json", wanted):
        return True
    if not _is_of(folder / SECOND_NAME, wanted):
        return False
    write_atomic(folder / "metrics.json", (folder / SECOND_NAME).read_bytes())
    return True


def _is_of(path: Path, wanted: Request) -> bool:
    try:
        return json.loads(path.read_text())["fingerprint"]["digest"] == wanted.fingerprint["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_finished(wanted: Request, trainer: Trainer, host: RunHost, result: Result, keep: str) -> None:
    """History, predictions, weights if kept, metrics; then the resume state goes."""
    metrics = {
        "status": "finished",
        "diverged_at_step": None,
        **_common(wanted, trainer, host),
        "metrics": result.metrics,
        "best": trainer.best,
        **result.extra,
    }
    if not trainer.world.first:
        return
    folder = host.folder
    host.check_lease()
    record.write_history(
        folder, trainer.history
    )  # a life that ended right after its last checkpoint wrote none
    with atomic_path(folder / "predictions.npz") as path, path.open("wb") as file:
        np.savez_compressed(file, **result.predictions)  # type: ignore[arg-type]
    if keep != "none":
        _write_weights(folder / "weights.pt", trainer)
    _write(folder, metrics)
    if keep != "all":
        checkpoints.remove(folder)
    host.reporter.say(_summary(result.metrics, metrics["wall_time_s"]))


def write_diverged(wanted: Request, trainer: Trainer, host: RunHost, divergence: Diverged) -> None:
    """A run whose loss was not finite has no metrics, and is not tried again."""
    if not trainer.world.first:
        return
    folder = host.folder
    host.check_lease()
    record.write_history(folder, trainer.history)
    metrics = {
        "status": "diverged",
        "diverged_at_step": divergence.step,
        **_common(wanted, trainer, host),
        "metrics": {},
        "best": trainer.best,
    }
    _write(folder, metrics)
    checkpoints.remove(folder)
    host.reporter.say(f"diverged: the loss of step {divergence.step} is not finite")


def _write_weights(path: Path, trainer: Trainer) -> None:
    buffer = io.BytesIO()
    torch.save(trainer.learner.scored_model.state_dict(), buffer)
    write_atomic(path, buffer.getvalue())


def _write(folder: Path, metrics: dict[str, Any]) -> None:
    for name in (SECOND_NAME, "metrics.json"):
        record.write_json(folder / name, metrics)


def _common(wanted: Request, trainer: Trainer, host: RunHost) -> dict[str, Any]:
    seconds = host.seconds
    return {
        "run": dict(wanted.run),
        "fingerprint": dict(wanted.fingerprint),
        "epochs_run": trainer.epoch,
        "train_examples": trainer.task.train_examples,
        "test_examples": trainer.task.test_examples,
        "commit": wanted.envelope.get("commit") or record.commit(),
        "versions": record.versions(),
        "hardware": record.hardware(trainer.device, trainer.world),
        "wall_time_s": round(seconds, 3),
        "device_seconds": round(seconds * trainer.world.size, 3),
        "peak_memory_bytes": machine.peak_memory(trainer.device),
        "started": host.started,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [sys.executable, *sys.argv],
    }


def _summary(metrics: dict[str, float], seconds: float) -> str:
    scores = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    return f"finished: {scores}  in {seconds:.0f} s"
