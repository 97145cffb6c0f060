"""Train short runs with this checkout and with another, and compare every number to the bit.

``python benchmarks/same_numbers.py ../other-checkout`` is for whoever moves code about and says that no result
changes: weights, history, predictions and scores of runs of both families, with every aggregator, attention and
encoding and with the settings that take other ways through the loop. Columns that tell time and memory are left
out. Neither data, nor GPU, nor network is needed. Exit status: 0 all equal, 1 something differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parents[1]
NOT_NUMBERS = {"seconds", "examples_per_second", "memory_bytes", "compile_seconds"}

IMAGES: dict[str, Any] = {
    "dataset": "digits", "model": "favit_b0", "encoding": "none", "seed": 3, "epochs": 2, "warmup_epochs": 1,
    "cooldown_epochs": 0, "batch_size": 16, "image_size": 64, "limit_train": 48, "limit_test": 40,
}  # fmt: skip
SERIES: dict[str, Any] = {
    "dataset": "seattle_weather", "model": "informer", "seed": 3, "epochs": 2, "batch_size": 256,
    "schedule": "halving", "optimizer": "adam", "input_length": 28, "label_length": 14, "horizon": 7,
    "warmup_epochs": 0, "cooldown_epochs": 0, "model.d_model": 16, "model.n_heads": 2, "model.d_ff": 32,
}  # fmt: skip
RECIPE = {
    "crop_scale_min": 0.3, "flip": 0.5, "randaugment": "m9-mstd0.5-inc1", "erasing": 0.5, "mixup": 0.8,
    "cutmix": 1.0, "label_smoothing": 0.1, "drop_path": 0.1, "ema": 0.9, "clip_grad": 1.0,
}  # fmt: skip


def runs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of each run, those left out being defaults."""
    for name in ("pointwise_conv", "linear", "avg_pool", "max_pool", "probsparse", "published"):
        yield f"images-{name}", {**IMAGES, "aggregator": name}
    for name in ("learned", "sinusoidal", "legendre"):
        yield f"images-{name}", {**IMAGES, "aggregator": "max_pool", "encoding": name}
    yield "images-recipe", {**IMAGES, **RECIPE, "aggregator": "probsparse", "precision": "bfloat16"}
    yield "images-jitter", {**IMAGES, "aggregator": "avg_pool", "color_jitter": 0.4, "channels_last": True}
    yield "images-exact", {**IMAGES, "aggregator": "probsparse", "aggregator.measure": "exact"}
    yield "images-max-votes", {**IMAGES, "aggregator": "probsparse", "aggregator.pool": "max"}
    for attention in ("full", "probsparse", "delta_v"):
        for encoding in ("sinusoidal", "legendre", "learned", "temporal", "none"):
            yield f"series-{attention}-{encoding}", {**SERIES, "aggregator": attention, "encoding": encoding}
    for terms in ("all", "token_pos+pos_token", "pos_pos"):
        run = {**SERIES, "aggregator": "cross_terms", "encoding": "sinusoidal", "aggregator.terms": terms}
        yield f"series-terms-{terms}", run
    yield "series-mlp", {**SERIES, "aggregator": "full", "encoding": "sinusoidal", "model.mlp_depth": 4}
    run = {**SERIES, "aggregator": "probsparse", "encoding": "none"}
    yield "series-kl", {**run, "aggregator.measure": "kl_uniform_attention"}


# Imports once and forks for each run: importing takes longer than such a run does.
TRAINER = """
import json, os, sys
import torch, sklearn.datasets, favit.models.favit, favit.models.informer
from favit.train.__main__ import main

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.stdout = open(os.devnull, "w")
        os._exit(main(json.loads(line)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Checkout:
    """Trains with one checkout's code."""

    def __init__(self, root: Path, results: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", TRAINER]
        self._process = subprocess.Popen(command, cwd=root, env=environment, **pipes)
        self._results = results

    def train(self, name: str, run: dict[str, Any]) -> Path:
        """The folder of the finished run."""
        folder = self._results / name
        folder.mkdir(parents=True)
        (folder / "wanted.json").write_text(json.dumps(run))
        words = ["--run", folder / "wanted.json", "--out", folder, "--keep", "weights"]
        line = json.dumps([*map(str, words), "--threads", "1", "--device", "cpu"])
        assert self._process.stdin is not None and self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        status = self._process.stdout.readline().strip()
        if status != "0":
            raise RuntimeError(f"{name} ended with {status or 'its process'}: {self._process.args}")
        return folder

    def close(self) -> None:
        """End its process."""
        self._process.communicate()


def different(ours: Path, theirs: Path) -> list[str]:
    """What two folders of the same run do not agree in."""
    found = []
    a, b = (weights(folder) for folder in (ours, theirs))
    if a.keys() != b.keys() or not all(torch.equal(a[name], b[name]) for name in a):
        found.append("weights")
    a, b = (dict(np.load(folder / "predictions.npz")) for folder in (ours, theirs))
    if a.keys() != b.keys() or not all(np.array_equal(a[name], b[name]) for name in a):
        found.append("predictions")
    if history(ours) != history(theirs):
        found.append("history")
    a, b = (json.loads((folder / "metrics.json").read_text()) for folder in (ours, theirs))
    found += [key for key in ("run", "metrics", "best", "epochs_run", "train_examples") if a[key] != b[key]]
    return found


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The kept state dict."""
    new = folder / "weights.safetensors"  # the other checkout may be of before
    return load_file(new) if new.is_file() else torch.load(folder / "weights.pt", weights_only=True)


def history(folder: Path) -> list[dict[str, str]]:
    """The rows of ``history.csv`` without what tells time and memory."""
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in NOT_NUMBERS} for row in rows]


def main() -> int:
    """Compare run by run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("other", type=Path, help="folder of another checkout of this project")
    parser.add_argument("--only", default="", help="runs whose names hold this text")
    options = parser.parse_args()
    unequal = compared = 0
    with tempfile.TemporaryDirectory() as scratch:
        ours = Checkout(HERE, Path(scratch) / "ours")
        theirs = Checkout(options.other.resolve(), Path(scratch) / "theirs")
        for name, run in runs():
            if options.only not in name:
                continue
            wrong = different(ours.train(name, run), theirs.train(name, run))
            print(f"{name}: {'differs in ' + ', '.join(wrong) if wrong else 'equal'}", flush=True)
            compared, unequal = compared + 1, unequal + bool(wrong)
        ours.close(), theirs.close()
    print(f"{compared} runs compared, {unequal} differ")
    return int(unequal > 0 or not compared)


if __name__ == "__main__":
    sys.exit(main())
