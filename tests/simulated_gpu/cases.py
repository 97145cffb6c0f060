"""Runs of both families, small, and what trains them in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_training import Kept
from favit.components import registry
from favit.components.flags import flag
from favit.train import build, engine, numerics
from favit.train.distributed import World
from favit.train.learner import Learner
from favit.train.loop import Interrupted, Trainer
from favit.train.settings import Optimisation, parse
from tests.simulated_gpu.gpu import CUDA
from tests.simulated_gpu.tensor import Record
from tests.train.runs import envelope

IMAGES: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 4,
    "limit_train": 10,
    "limit_test": 5,
    "warmup_epochs": 0,
}
SERIES: dict[str, Any] = {"epochs": 2, "batch_size": 700}
PRECISIONS = ("float32", "bfloat16", "float16")


def images(**changes: Any) -> dict[str, Any]:
    """A run of FaViT with everything random switched on."""
    return envelope("classification", **{**IMAGES, **changes})["run"]


def series(**changes: Any) -> dict[str, Any]:
    """A run of Informer."""
    return envelope("forecasting", **{**SERIES, **changes})["run"]


def every_mechanism() -> dict[str, dict[str, Any]]:
    """By name, a run with each aggregator, attention and encoding, and with the settings that take other ways."""
    found: dict[str, dict[str, Any]] = {}
    for name in registry.names("aggregators"):
        found[f"aggregator {name}"] = images(aggregator=name)
    for name in registry.names("attention"):
        found[f"attention {name}"] = series(aggregator=name)
    for name in registry.names("encodings"):
        if flag("encodings", name, "IMAGES"):
            found[f"encoding {name} of images"] = images(aggregator="max_pool", encoding=name)
        found[f"encoding {name} of series"] = series(encoding=name)
    exact = {"aggregator.measure": "exact", "aggregator.pool": "max"}
    found["aggregator probsparse, exact, max"] = images(**exact)
    found["attention probsparse, exact"] = series(**{"aggregator.exact": True})
    return found


def trained(
    run: Mapping[str, Any], device: torch.device, *stops: int
) -> tuple[dict[str, torch.Tensor], Any, Any]:
    """Train to the end, asked to stop at these looks: the model's state, the history and the final scores."""
    state = None
    for stop in (*stops, None):
        host = Kept(state, stop)
        trainer: Trainer = engine.trainer(run, Path("data"), device, World(), 0, host)  # type: ignore[arg-type]
        try:
            final = trainer.train()
        except Interrupted:
            assert stop is not None
            state = host.state
            continue
        assert stop is None, "it was to stop before its end"
        weights = {name: value.cpu() for name, value in trainer.learner.scored_model.state_dict().items()}
        rows = [{k: v for k, v in row.items() if "second" not in k} for row in trainer.history]
        return weights, rows, final
    raise AssertionError


class Steps:
    """The steps of a run on a device, one after the other, with nothing kept."""

    def __init__(self, run: Mapping[str, Any], device: torch.device = CUDA) -> None:
        chosen = parse(Optimisation, run)
        numerics.configure(chosen)
        self.device = device
        self.task = build.task(run, Path("data"), device, World(), 0)
        self.learner = Learner(self.task, chosen, device, World())
        self.learner.begin_epoch(1e-3)
        self._batches = self._endless()

    def _endless(self) -> Iterator[tuple[int, Any, Any]]:
        epoch = 0
        while True:
            order = self.task.order.epoch(epoch, 0, World(), self.device)
            for batch, examples in self.task.batches(order, epoch):
                yield epoch, batch, examples
            epoch += 1

    def next(self) -> tuple[int, Any, Any]:
        """The next batch, its examples prepared."""
        return next(self._batches)

    def step(self) -> torch.Tensor:
        """Train one step; its loss."""
        epoch, batch, examples = self.next()
        return self.learner.step(batch, examples, epoch)


def report(name: str, **parts: Record) -> None:
    """Print what parts of a step ask of the device (``pytest -s`` shows it)."""
    for part, record in parts.items():
        print(f"{name}, {part}: {record}")
