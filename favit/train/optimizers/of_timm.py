"""Optimizers by the names of timm's factory."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import torch

import favit.models  # noqa: F401  # makes timm importable beside a torch without CUDA


def build(name: str, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """The optimizer over groups of parameters with their own ``weight_decay``, otherwise with timm's defaults.

    ``ValueError`` says in one line why timm cannot make it.
    """
    optim: Any = importlib.import_module("timm.optim")  # after that

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what would make some of them faster
            built: torch.optim.Optimizer = optim.create_optimizer_v2(groups, opt=name, lr=lr)
    except Exception as error:  # assertions and type errors, too: timm passes on what each class raises
        reason = " ".join(str(error).split())
        raise ValueError(f"optimizer '{name}' cannot be made: {type(error).__name__}: {reason}") from error
    return built
