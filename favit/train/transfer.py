"""From the host to a GPU without making the host wait: out of pinned memory, many small things in one copy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_ALIGNMENT = 16  # bytes, of whatever type


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """``x`` on ``device``; itself where it is there already."""
    if device.type != "cuda" or x.is_cuda:
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def together(parts: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Tensors of the CPU on ``device``, by one copy; what is returned are views of one buffer, which may be
    written to."""
    places, size = {}, 0
    for name, part in parts.items():
        places[name] = size
        size += -(-part.numel() * part.element_size() // _ALIGNMENT) * _ALIGNMENT
    host = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    for name, part in parts.items():
        _view(host, places[name], part).copy_(part)
    there = host.to(device, non_blocking=True)
    return {name: _view(there, places[name], part) for name, part in parts.items()}


def _view(buffer: Tensor, place: int, like: Tensor) -> Tensor:
    part = buffer[place : place + like.numel() * like.element_size()]
    return part.view(like.dtype).view(like.shape)
