"""Weights on disk: safetensors with the run's settings inside; the ``.pt`` files of before are read, too.

``timm.create_model(..., checkpoint_path=)`` and whatever else takes safetensors reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

_SETTINGS = "settings"  # in the file's metadata: the run's, as JSON


def packed(state: Mapping[str, Tensor], settings: Mapping[str, Any], about: Mapping[str, str]) -> bytes:
    """A file's content: tensors by name, the run's flat settings, and texts ``about`` where they come from."""
    # Its tensors may share no memory, as those of tied weights do.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    said = {"format": "pt", _SETTINGS: json.dumps(dict(settings), sort_keys=True), **about}
    return save(tensors, metadata=said)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, ``.safetensors`` or ``.pt``, by name, on the CPU."""
    if path.suffix == ".safetensors":
        return load_file(path)
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def settings_in(path: Path) -> dict[str, Any]:
    """The run's settings that a file holds; empty for a ``.pt``, which holds none."""
    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads((file.metadata() or {}).get(_SETTINGS, "{}"))
    return found
