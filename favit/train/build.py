"""Building what a run names: its model and its task."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from favit.components import registry
from favit.components.literals import family_of, task_of
from favit.train import initialisation
from favit.train.distributed import World
from favit.train.task import Task


def model(run: Mapping[str, Any], facts: Mapping[str, Any], device: torch.device) -> nn.Module:
    """The run's model; its initial weights follow from its seed and their names, whatever the device.

    Raises ``ValueError`` naming the valid models for an unknown one.
    """
    family = registry.load("models", family_of(run["model"]))
    return initialisation.named(lambda: family.build(run, facts), run["seed"]).to(device)


def task(run: Mapping[str, Any], data: Path, device: torch.device, world: World, workers: int) -> Task:
    """The run's model and its data on this device. Raises ``ValueError`` and ``DataMissing``."""
    module = importlib.import_module(f"favit.train.tasks.{task_of(run['dataset'])}")
    built: Task = module.Task(run, data, device, world, workers)
    return built
