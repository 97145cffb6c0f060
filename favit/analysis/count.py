"""Parameters and multiply-accumulates of a model, counted without computing anything.

A multiply-accumulate is what the FaViT paper calls a FLOP. torch's flop counter sees matrix products,
convolutions and fused attention and counts two for each; products written element by element it misses, so a
module that contains such tells their number itself (``elementwise_macs``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Counts:
    """``params``: trained numbers; ``macs``: multiply-accumulates of one forward pass of the given inputs."""

    params: int
    macs: int


def count(model: nn.Module, *inputs: Tensor) -> Counts:
    """Count ``model`` on inputs of these shapes, on torch's meta device: nothing is computed, nothing changes.

    Any module may have a method ``elementwise_macs(*forward_inputs) -> int``: the multiply-accumulates of one
    call that the flop counter cannot see. It is called as the module is.
    """
    unseen: list[int] = []
    hooks = [
        module.register_forward_pre_hook(lambda m, args: unseen.append(m.elementwise_macs(*args)))
        for module in model.modules()
        if hasattr(module, "elementwise_macs")
    ]
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            functional_call(model, _on_meta(model), tuple(_meta(x) for x in inputs))
    finally:
        for hook in hooks:
            hook.remove()
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Counts(params, counter.get_total_flops() // 2 + sum(unseen))


def _on_meta(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers as shapes without values."""
    tensors: list[tuple[str, Any]] = [*model.named_parameters(), *model.named_buffers()]
    return {name: _meta(tensor) for name, tensor in tensors}


def _meta(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")
