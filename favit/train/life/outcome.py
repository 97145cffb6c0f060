"""The end of a run: the result is written last, so that it exists only when everything else does."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from favit.disk.files import atomic_path, write_atomic
from favit.disk.run_folder import RunFolder
from favit.train import weights
from favit.train.life import machine, record
from favit.train.life.host import RunHost
from favit.train.life.request import Request
from favit.train.loop import Diverged, Trainer
from favit.train.task import FinalScores


def is_there(folder: RunFolder, wanted: Request) -> bool:
    """Whether the folder holds this run's result; one whose first name was removed gets it back.

    Whatever starts a finished run's job again, a second snakemake or a requeue, removes the job's declared output
    first, and that is the result's first name.
    """
    if _is_of(folder.metrics, wanted):
        return True
    if not _is_of(folder.spare_metrics, wanted):
        return False
    folder.restore_metrics()
    return True


def _is_of(path: Path, wanted: Request) -> bool:
    try:
        return json.loads(path.read_text())["fingerprint"]["digest"] == wanted.fingerprint["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_finished(wanted: Request, trainer: Trainer, host: RunHost, scores: FinalScores, keep: str) -> None:
    """Write history, predictions, weights if they are kept, and the result; then drop the checkpoints."""
    metrics = {
        "status": "finished",
        "diverged_at_step": None,
        **_common(wanted, trainer, host),
        "metrics": scores.metrics,
        "best": trainer.best,
        **scores.extra,
    }
    if not trainer.world.first:
        return
    folder = host.folder
    host.check_lease()
    # A life that began after the last epoch has written no history of its own.
    record.write_history(folder, trainer.history)
    with atomic_path(folder.predictions) as path, path.open("wb") as file:
        np.savez_compressed(file, **scores.predictions)  # type: ignore[arg-type]
    if keep != "none":
        _write_weights(folder.weights, trainer, wanted)
    folder.write_metrics(metrics)
    if keep != "all":
        folder.remove_checkpoints()
    host.loggers.end("finished", scores.metrics, trainer.history)
    host.reporter.say(_summary(scores.metrics, metrics["wall_time_s"]))


def write_diverged(wanted: Request, trainer: Trainer, host: RunHost, divergence: Diverged) -> None:
    """Write the result of a run whose loss was not finite: it has no scores, and is not tried again."""
    if not trainer.world.first:
        return
    folder = host.folder
    host.check_lease()
    record.write_history(folder, trainer.history)
    folder.write_metrics(
        {
            "status": "diverged",
            "diverged_at_step": divergence.step,
            **_common(wanted, trainer, host),
            "metrics": {},
            "best": trainer.best,
        }
    )
    folder.remove_checkpoints()
    host.loggers.end("diverged", {}, trainer.history)
    host.reporter.say(f"diverged: the loss of step {divergence.step} is not finite")


def _write_weights(path: Path, trainer: Trainer, wanted: Request) -> None:
    about = {"fingerprint": str(wanted.fingerprint["digest"])}
    state = trainer.learner.scored_model.state_dict()
    write_atomic(path.with_suffix(".safetensors"), weights.packed(state, wanted.run, about))


def _common(wanted: Request, trainer: Trainer, host: RunHost) -> dict[str, Any]:
    seconds = host.seconds
    return {
        "run": dict(wanted.run),
        "fingerprint": dict(wanted.fingerprint),
        "snapshot": wanted.envelope.get("snapshot"),
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
