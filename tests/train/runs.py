"""Miniature runs of both families, with everything random switched on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from favit.components import declared
from favit.disk.run_folder import RunFolder
from favit.identity.digests import data_digests, short_digest
from favit.train import weights

# Of a row of history.csv: how long it took, not what came out.
TIMINGS = {"seconds", "examples_per_second", "memory_bytes", "compile_seconds"}


def envelope(task: str, digest: str = "0123456789ab", **changes: Any) -> dict[str, Any]:
    """A run of ``task`` that takes about a second, completed by the defaults, with a made-up fingerprint."""
    defaults = declared.training_defaults(task)
    run = {**defaults, **_MINIATURE[task], **changes}
    fingerprint = {"digest": digest, "settings": short_digest(run), "data": data_digests(run, Path("data"))}
    return {"run": run, "fingerprint": fingerprint}


_MINIATURE: dict[str, dict[str, Any]] = {
    "classification": {
        "dataset": "digits", "model": "favit_b0", "aggregator": "probsparse", "encoding": "none",
        "epochs": 5, "batch_size": 8, "lr": 1e-3, "warmup_epochs": 1, "cooldown_epochs": 0,
        "image_size": 32, "limit_train": 26, "limit_test": 20, "crop_scale_min": 0.3, "flip": 0.5,
        "randaugment": "m9-mstd0.5-inc1", "erasing": 0.5, "mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1,
        "drop_path": 0.2, "ema": 0.9, "clip_grad": 1.0,
    },
    "forecasting": {
        "dataset": "seattle_weather", "model": "informer", "aggregator": "probsparse", "encoding": "sinusoidal",
        "optimizer": "adam", "weight_decay": 0.0, "schedule": "halving", "lr": 1e-3,
        "epochs": 5, "patience": 0, "batch_size": 256, "input_length": 16, "label_length": 8, "horizon": 4,
        "model.d_model": 16, "model.d_ff": 32, "model.n_heads": 2, "model.dropout": 0.1,
    },
}  # fmt: skip

TASKS = tuple(_MINIATURE)


def assert_same_result(left: Path, right: Path) -> None:
    """Two folders hold the same bits of weights, history, metrics and predictions."""
    assert_same_tensors(*(weights.read(RunFolder(folder).weights) for folder in (left, right)))
    assert history(left) == history(right)
    one, other = (np.load(folder / "predictions.npz") for folder in (left, right))
    assert one.files == other.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name])
    assert results(left) == results(right)


def assert_same_tensors(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    """Equal names, equal bits."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def history(folder: Path) -> list[dict[str, str]]:
    """The rows without what depends on the clock."""
    with (folder / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMINGS} for row in csv.DictReader(file)]


def results(folder: Path) -> dict[str, Any]:
    """Of ``metrics.json`` what must not depend on how the run came about."""
    metrics = json.loads((folder / "metrics.json").read_text())
    kept = ("status", "diverged_at_step", "run", "fingerprint", "metrics", "best", "epochs_run", "baseline")
    return {name: metrics.get(name) for name in kept}
