"""A small study as it lies on disk, made without training: results that count today, with weights and predictions."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from favit.components.facts import stated
from favit.components.literals import family_of
from favit.components.registry import load as component
from favit.disk.run_folder import RunFolder
from favit.results import guard
from favit.results.state import Results, State
from favit.sweeps.config import Config
from favit.sweeps.config import load as load_config
from favit.sweeps.runs import runs
from favit.train import weights
from tests.workflow.conftest import TINY

MODELS: dict[str, torch.nn.Module] = {}  # as last made, by the run's key


def study(root: Path, leave: tuple[str, ...] = (), **changes: Any) -> Config:
    """A configuration in ``root`` and results of its runs, but for those whose name holds one of ``leave``."""
    root.mkdir(parents=True, exist_ok=True)
    said = {**TINY, "data": str(root / "data"), "results": str(root / "results"), **changes}
    (root / "config.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    config = load_config(root / "config.yaml")
    results = Results(config)
    every = [run for name in config.sweeps for run in runs(config, name)]
    states = [s for s in results.states(every) if not any(part in s.run.name for part in leave)]
    guard.before_training(config, results, states)
    for number, state in enumerate(states):
        finish(state, number)
    return config


def finish(state: State, number: int = 0, score: float | None = None) -> None:
    """Leave in a run's folder what its training would."""
    run, folder = dict(state.run.settings), RunFolder(state.folder)
    rng, images = np.random.default_rng(number), state.run.task == "classification"
    facts = stated(run["dataset"])
    model = component("models", family_of(run["model"])).build(run, facts)
    MODELS[state.run.key] = model.eval()
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.weights.write_bytes(
        weights.packed(model.state_dict(), run, {"fingerprint": state.fingerprint.digest})
    )
    if images:
        labels = rng.integers(0, 10, 16)
        predicted = np.where(rng.random(16) < 0.5, labels, (labels + 1) % 10)
        np.savez(folder.predictions, labels=labels, predicted=predicted, correct5=np.ones(16, bool))
        scores = {"top1": score or 100 * float((labels == predicted).mean()), "top5": 100.0, "loss": 1.0}
    else:
        squared = rng.gamma(4, 0.25, 50).astype(np.float32)
        np.savez(folder.predictions, squared_error=squared, absolute_error=np.sqrt(squared))
        scores = {"mse": score or float(squared.mean()), "mae": float(np.sqrt(squared).mean())}
    history(folder, images, epochs=run["epochs"])
    request = folder.request.read_text()
    content = yaml.safe_load(request)
    folder.write_metrics(
        {
            "status": "finished",
            "diverged_at_step": None,
            "run": run,
            "fingerprint": content["fingerprint"],
            "snapshot": content["snapshot"],
            "epochs_run": run["epochs"],
            "commit": content["commit"],
            "versions": {"torch": torch.__version__},
            "hardware": {"device": "cpu", "cpu": "a made-up one", "gpus": []},
            "wall_time_s": 2.0,
            "device_seconds": 2.0,
            "peak_memory_bytes": 2**29,
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:00:02+00:00",
            "command": ["favit", "train"],
            "metrics": scores,
            "best": {},
        }
    )


def history(folder: RunFolder, images: bool, epochs: int) -> None:
    """Leave the scores of each epoch."""
    part = {"test_top1": 50.0, "test_top5": 90.0, "test_loss": 1.0} if images else {"validation_mse": 1.0}
    text = io.StringIO()
    rows = [
        {"epoch": epoch, "train_loss": 1 / epoch, "lr": 0.1, **part, "seconds": 2.0, "examples_per_second": 5.0,
         "memory_bytes": 2**29}
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.history.write_text(text.getvalue())
    folder.log.write_text("epoch 1/1  made up\n")
