"""Where training with a validation part of the images begins, as ``favit.train.engine`` is where any other does.

A place of its own, so that what it reaches is no code of runs without such a part, which it therefore never retrains.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from favit.train import numerics
from favit.train.distributed import World
from favit.train.host import Host
from favit.train.loop import Trainer
from favit.train.settings import Optimisation, parse


def trainer(
    run: Mapping[str, Any], data: Path, device: torch.device, world: World, workers: int, host: Host
) -> Trainer:
    """What trains a run whose ``validation_split`` is not 0. Raises ``ValueError`` and ``DataMissing``."""
    chosen = parse(Optimisation, run)
    numerics.configure(chosen)
    module = importlib.import_module("favit.train.tasks.validated")
    return Trainer(module.Task(run, data, device, world, workers), chosen, device, world, host)
