"""A trained FaViT from what its run keeps, and the test images as its training scores them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from favit.components import registry
from favit.components.facts import facts, feed_of
from favit.components.literals import families
from favit.disk.run_folder import RunFolder
from favit.models.favit import FaViT
from favit.train import weights
from favit.train.augment.pipeline import Standard, prepare
from favit.train.distributed import World
from favit.train.numerics import AUTOCAST
from favit.train.settings import Images, parse

_AT_ONCE = 128
_ORDER = 0  # seed of the order in which test images are taken, of no meaning


@dataclass(frozen=True)
class Trained:
    """A finished run: its flat settings, its scores, its model in evaluation mode and its test images."""

    folder: Path
    run: Mapping[str, Any]
    scores: Mapping[str, float]
    model: FaViT
    device: torch.device
    data: Any
    images: Images

    def batches(self, count: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """``count`` test images (0: all) as the model sees them (b, 3, S, S), with their labels (b,).

        In a fixed random order, so that neighbours are of different classes where the data are sorted, in batches of
        nearly equal size.
        """
        order = torch.randperm(len(self.data.test_labels), generator=torch.Generator().manual_seed(_ORDER))
        order = order[: count or None]
        module = importlib.import_module(f"favit.train.feeds.{feed_of(self.run['dataset'])}")
        feed = module.Feed(self.data, self.images, self.run["seed"], self.device, World(), 0)
        # What the feed has cropped already is only resized here.
        share = 1.0 if feed.cropped else self.images.test_crop
        standard = Standard(self.data.mean, self.data.std, self.device)
        indices = order if feed.on_cpu else order.to(self.device)
        for pixels, labels in feed.test(indices.tensor_split(-(-len(order) // _AT_ONCE))):
            yield prepare(pixels, self.images.image_size, self.images.interpolation, standard, share), labels

    @torch.no_grad()
    def logits(self, x_bchw: Tensor) -> Tensor:
        """The model's output (b, classes) in single precision, computed in the precision of its training."""
        dtype = AUTOCAST.get(self.run["precision"])
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            found: Tensor = self.model(x_bchw)
        return found.float()


def load(folder: Path, data: Path, device: torch.device) -> Trained:
    """The trained model of a run and its data. ``ValueError`` if the run is not what is needed."""
    files = RunFolder(folder)
    if not files.metrics.is_file():
        raise ValueError(f"{files.metrics} not found; give the folder of a finished run")
    metrics = json.loads(files.metrics.read_text())
    run = metrics["run"]
    family = families().get(run["model"])
    if family != "favit":
        raise ValueError(f"{folder} is a run of {run['model']}; give a run of FaViT with an aggregator")
    if not files.weights.is_file():
        raise ValueError(
            f"{files.weights} not found; the run must be trained with --keep weights "
            "(keep: weights in the configuration); delete it and train it again"
        )
    chosen = parse(Images, run)
    loaded = registry.load("data", run["dataset"]).load(data, run)
    limited = loaded.limited(chosen.limit_train, chosen.limit_test)
    model = registry.load("models", family).build(run, facts(run["dataset"], loaded))
    model.load_state_dict(weights.read(files.weights))
    model.to(device).eval()
    return Trained(folder, run, metrics["metrics"], model, device, limited, chosen)
