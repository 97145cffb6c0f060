from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Counts:
    params: int
    macs: int


def count(model: nn.Module, *inputs: torch.Tensor) -> Counts:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    return Counts(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)
