"""The entry point of training: everything that a run's numbers depend on is reached from here and its components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from favit.train import build, numerics
from favit.train.distributed import World
from favit.train.host import Host
from favit.train.loop import Trainer
from favit.train.settings import Optimisation, parse


def trainer(
    run: Mapping[str, Any], data: Path, device: torch.device, world: World, workers: int, host: Host
) -> Trainer:
    """The trainer of a run, from its beginning or from the state that its host has kept.

    ``run`` holds its flat settings, ``data`` is the folder of data sets, ``workers`` reads what is not held in
    memory. Raises ``ValueError`` for what a user can get wrong, and ``DataMissing``.
    """
    chosen = parse(Optimisation, run)
    numerics.configure(chosen)
    task = build.task(run, data, device, world, workers)
    if not any(parameter.requires_grad for parameter in task.model.parameters()):
        chosen = replace(chosen, epochs=0)  # nothing to learn: it is scored as it is
    return Trainer(task, chosen, device, world, host)
