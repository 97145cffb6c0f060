"""Data of made-up numbers in the real ones' files, and runs on them: a benchmark downloads nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from favit.components import declared

SEED_RECIPE = {"interpolation": "bilinear", "crop_scale_min": 0.08, "flip": 0.5}
FAVIT_RECIPE = {
    "interpolation": "bicubic",
    "crop_scale_min": 0.08,
    "flip": 0.5,
    "randaugment": "m9-mstd0.5-inc1",
    "erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
    "label_smoothing": 0.1,
    "drop_path": 0.1,
}
IMAGES = {"dataset": "cifar100", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none"}
SERIES = {
    "dataset": "etth1",
    "model": "informer",
    "aggregator": "probsparse",
    "encoding": "sinusoidal",
    "optimizer": "adam",
    "weight_decay": 0.0,
    "lr": 1e-4,
    "batch_size": 32,
    "patience": 0,
}


def run_of(task: str, **changes: Any) -> dict[str, Any]:
    """A run completed by the defaults."""
    return {**declared.training_defaults(task), "seed": 0, "schedule": "constant", **changes}


def images(**changes: Any) -> dict[str, Any]:
    """A run of FaViT-B0 by its authors' recipe."""
    return run_of("classification", **{**IMAGES, **FAVIT_RECIPE, **changes})


def series(**changes: Any) -> dict[str, Any]:
    """A run of Informer."""
    return run_of("forecasting", **{**SERIES, **changes})


def write_archive(root: Path, n: int = 2048) -> None:
    """CIFAR-100's archive of smooth images, as photographs are, since what a transform costs depends on it."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (n, 3, 6, 6)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, 32, mode="bicubic").clamp(0, 255).byte()
    target = root / "cifar-100-python"
    target.mkdir(parents=True)
    content = {b"data": smooth.numpy().reshape(n, 3072), b"fine_labels": [i % 100 for i in range(n)]}
    for part in ("train", "test"):
        (target / part).write_bytes(pickle.dumps(content))
    (target / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"%d" % i for i in range(100)]}))


def write_series(root: Path, rows: int = 17420) -> None:
    """ETTh1's table: waves and noise."""
    rng, t = np.random.default_rng(0), np.arange(rows)
    names = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    table = pd.DataFrame({name: np.sin(t / (5 + i)) + rng.normal(size=rows) for i, name in enumerate(names)})
    dates = pd.date_range("2016-07-01", periods=rows, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    table.insert(0, "date", dates)
    (root / "ett").mkdir(parents=True)
    table.to_csv(root / "ett" / "ETTh1.csv", index=False)
