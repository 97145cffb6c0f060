"""The speed and number of examples of a run, from finished runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.disk.run_folder import METRICS
from favit.identity.settings import without_neutral
from favit.sweeps.runs import Run

# Settings that change what is learnt, not how long an example takes
_NOT_SPEED = {
    "seed", "epochs", "lr", "lr_batch", "weight_decay", "schedule", "warmup_epochs", "cooldown_epochs",
    "min_lr", "patience", "limit_train", "limit_test", "label_smoothing",
    "validation_split",
}  # fmt: skip

Metrics = Mapping[str, Any]  # what a metrics.json holds


@dataclass(frozen=True)
class Pace:
    """Training examples a second of one device, scoring included, and where that is known from."""

    examples_per_second: float
    source: str
    measured_on_cpu: bool = False
    memory_bytes: int | None = None  # the most that a process takes: of the GPU, or of the machine


def finished_runs(results: Path) -> list[Metrics]:
    """The readable results of all sweeps."""
    found = []
    for path in sorted(results.glob(f"runs/**/{METRICS}")):
        try:
            found.append(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return found


def known_pace(run: Run, finished: Iterable[Metrics]) -> Pace | None:
    """The pace of the latest finished run that differs in nothing that speed depends on."""
    wanted = _speed(run.settings)
    same = [m for m in finished if m["status"] == "finished" and _speed(m["run"]) == wanted]
    if not same:
        return None
    last = max(same, key=lambda m: m["finished"])
    rate = last["epochs_run"] * last["train_examples"] / last["device_seconds"]
    where = (last["hardware"].get("gpus") or [last["hardware"]["device"]])[0]
    return Pace(rate, f"finished run on {where}", memory_bytes=last.get("peak_memory_bytes"))


def known_examples(run: Run, finished: Iterable[Metrics]) -> tuple[int, int] | None:
    """Examples trained on and scored in an epoch, as finished runs on the same data have counted them."""
    for metrics in finished:
        if _data(metrics["run"]) == _data(run.settings):
            return metrics["train_examples"], metrics["test_examples"]
    return None


def _speed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in without_neutral(settings).items() if key not in _NOT_SPEED}


def _data(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the number of examples follows from."""
    names = ("limit_train", "limit_test", "validation_split", "input_length", "horizon")
    own = sorted((k, v) for k, v in settings.items() if k.startswith("dataset"))
    return (*own, *(settings.get(name) or 0 for name in names))
