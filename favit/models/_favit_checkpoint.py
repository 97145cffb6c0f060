"""Weights trained with the authors' code, in this project's names and layout."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import torch
from einops import rearrange
from torch import Tensor, nn

from favit.models._fasa import FaSA

_RENAMED = (
    (r"^patch_embed(\d)\.", "stages.{stage}.embed."),
    (r"^block(\d)\.", "stages.{stage}.blocks."),
    (r"^norm(\d)\.", "stages.{stage}.norm."),
)
_RENAMED_INSIDE = {
    ".attn.sr.": ".attn.global_group.reduce.",
    ".attn.norm.": ".attn.global_group.norm.",
    ".attn.kv_g.": ".attn.global_group.kv.",
    ".attn.local_conv_g.": ".attn.global_group.local.",
    ".attn.kv_l.depth_conv.": ".attn.depthwise.",
    ".attn.kv_l.point_conv.": ".attn.pointwise.",
    ".mlp.dwconv.dwconv.": ".mlp.depthwise.",
}
_STACKED = {"fcs": "fuse", "single_heads": "kv", "local_convs": "local"}  # one module a group there, one here


def checkpoint_filter_fn(state_dict: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Rename the authors' weights; a state dict that has this project's names already is returned as it is.

    Two things change besides names: modules that the authors keep one a group are stacked, and the columns of
    the output projection of attention, which takes the groups' channels heads first here, groups first there.
    """
    if not any(name.startswith("patch_embed1.") for name in state_dict):
        return dict(state_dict)
    renamed: dict[str, Tensor] = {}
    stacked: dict[str, list[Tensor]] = {}
    for name, tensor in state_dict.items():
        group = re.search(r"\.attn\.(fcs|single_heads|local_convs)\.\d+\.", name)
        if group:
            ours = name.replace(group.group(), f".attn.{_STACKED[group.group(1)]}.")
            stacked.setdefault(_rename(ours), []).append(tensor)
        else:
            renamed[_rename(name)] = tensor
    renamed |= {name: torch.cat(parts) for name, parts in stacked.items()}
    for name, weight in _reordered(renamed, model):
        renamed[name] = weight
    return renamed


def allow_listed() -> AbstractContextManager[None]:
    """While open, weights-only loading accepts ``argparse.Namespace``, which the authors' files hold, and no more."""
    return torch.serialization.safe_globals([argparse.Namespace])


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        match = re.match(pattern, name)
        if match:
            name = replacement.format(stage=int(match[1]) - 1) + name[match.end() :]
            break
    for theirs, ours in _RENAMED_INSIDE.items():
        name = name.replace(theirs, ours)
    return name


def _reordered(state_dict: Mapping[str, Tensor], model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Shapes and column orders that differ."""
    for name, weight in state_dict.items():
        if name.endswith(".attn.pointwise.weight"):
            yield name, weight.flatten(1)  # a 1 x 1 convolution there
        elif name.endswith(".attn.proj.weight"):
            attention = model.get_submodule(name.removesuffix(".proj.weight"))
            assert isinstance(attention, FaSA)
            coarse, fine = weight.tensor_split([attention.coarse], dim=1)
            axes = {"g": attention.groups, "h": attention.heads}
            yield name, torch.cat((coarse, rearrange(fine, "o (g h c) -> o (h g c)", **axes)), dim=1)
