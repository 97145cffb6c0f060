"""The optimizer, and which parameters it decays."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from favit.components.optimizers import module_of
from favit.train.settings import Optimisation

_KINDS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def decayed(model: nn.Module) -> dict[str, bool]:
    """Parameter name -> whether it is decayed.

    Not: biases and norms (one-dimensional) and what ``model.no_weight_decay()`` names.
    """
    named: Any = getattr(model, "no_weight_decay", set)
    kept: set[str] = named()
    return {
        name: parameter.ndim > 1 and name not in kept
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def build(model: nn.Module, chosen: Optimisation) -> torch.optim.Optimizer:
    """The optimizer over parameters with and without weight decay; the schedule sets the learning rate.

    ``ValueError`` for one that cannot be made.
    """
    parameters = dict(model.named_parameters())
    decay = {name: chosen.decay_all or yes for name, yes in decayed(model).items()}
    groups = [
        {"params": [parameters[n] for n, d in decay.items() if d], "weight_decay": chosen.weight_decay},
        {"params": [parameters[n] for n, d in decay.items() if not d], "weight_decay": 0.0},
    ]
    some = [group for group in groups if group["params"]] or groups
    elsewhere = module_of(chosen.optimizer)
    built: torch.optim.Optimizer
    if elsewhere:
        maker = importlib.import_module(f"favit.train.optimizers.{elsewhere}")
        built = maker.build(chosen.optimizer, some, chosen.lr)
    else:
        built = _KINDS[chosen.optimizer](some, lr=chosen.lr, fused=chosen.fused)
    return built


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give all groups of parameters the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
