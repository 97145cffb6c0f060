"""Building the model that a run names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from favit import registry
from favit.literals import families
from favit.train import seeds


def build(run: Mapping[str, Any], facts: Mapping[str, Any], device: torch.device) -> nn.Module:
    """The run's model with initial weights that follow from its seed, whatever the device.

    Raises ``ValueError`` naming the valid models for an unknown one.
    """
    known = families()
    if run["model"] not in known:
        raise ValueError(registry.unknown(f"model '{run['model']}'", run["model"], sorted(known)))
    seeds.seed_forward(run["seed"], "weights")
    return registry.load("models", known[run["model"]]).build(run, facts).to(device)
