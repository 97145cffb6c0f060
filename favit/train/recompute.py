"""Activation checkpointing: a block's activations are computed again in the backward pass, not kept until then.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174. Numbers stay what they are, to
the bit: a block draws the same numbers when it is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def activations(model: nn.Module) -> None:
    """Have each block of a model compute its activations again. ``ValueError`` for a model without blocks."""
    found = list(_blocks(model))
    if not found:
        raise ValueError(
            "activation_checkpointing: the model has no blocks, lists of modules made of modules; set it to false"
        )
    for block in found:
        block.forward = _again(block.forward)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The innermost elements of lists of modules that are put together from others.

    Not those with batch norms, whose running statistics would move twice.
    """
    for child in module.children():
        inner = list(_blocks(child))
        yield from inner
        if not inner and isinstance(module, nn.ModuleList | nn.Sequential) and _is_block(child):
            yield child


def _is_block(module: nn.Module) -> bool:
    norms = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())
    return any(True for _ in module.children()) and any(True for _ in module.parameters()) and not norms


def _again(forward: Callable[..., Any]) -> Callable[..., Any]:
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return recomputed
