"""Informer's weights trained with the authors' code, in this project's names and layout."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# The authors' module names, and ours.
_RENAMED = (
    (r"(enc|dec)_embedding\.value_embedding\.tokenConv\.", r"\1_embedding.value."),
    (r"(enc|dec)_embedding\.temporal_embedding\.embed\.", r"\1_embedding.time."),
    (r"encoder\.attn_layers\.(\d+)\.", r"encoder.\1."),
    (r"encoder\.conv_layers\.(\d+)\.downConv\.", r"distilling.\1.conv."),
    (r"encoder\.conv_layers\.(\d+)\.norm\.", r"distilling.\1.norm."),
    (r"encoder\.norm\.", "encoder_norm."),
    (r"decoder\.layers\.(\d+)\.self_attention\.", r"decoder.\1.attention."),
    (r"decoder\.layers\.(\d+)\.", r"decoder.\1."),
    (r"decoder\.norm\.", "decoder_norm."),
    (r"projection\.", "head."),
    (r"(.*)\.(query|key|value|out)_projection\.", r"\1.\2."),
    (r"(.*)\.conv([12])\.", lambda m: f"{m[1]}.feed_forward.linears.{int(m[2]) - 1}."),
)


def checkpoint_filter_fn(state_dict: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A state dict of the authors' code under this model's names and shapes; one of ours passes unchanged.

    Convolutions become linear layers: those of width 1 lose their last axis,
    the circular ones of width 3 are flattened as (step, channel). The tables
    of sinusoids are dropped: they are computed, not stored.
    """
    own = model.state_dict()
    return {
        name: _reshaped(tensor, own.get(name))
        for name, tensor in ((_renamed(key), tensor) for key, tensor in state_dict.items())
        if not name.endswith("position_embedding.pe")
    }


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(rf"^{pattern}", replacement, name)
    return name


def _reshaped(tensor: Tensor, like: Tensor | None) -> Tensor:
    if like is None or tensor.shape == like.shape or tensor.dim() != 3:
        return tensor
    return torch.flatten(tensor.transpose(1, 2), 1)  # (out, in, width) -> (out, width * in)
