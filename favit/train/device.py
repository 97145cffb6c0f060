"""The device, and the switches of torch that numbers depend on: always those of the run, never a device's defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from favit.train.distributed import World

NAMES = ("auto", "cpu", "cuda")


def choose(name: str) -> torch.device:
    """``cpu``, ``cuda`` or, for ``auto``, a GPU where there is one. ``ValueError`` where there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; valid here: auto, cpu")
    return torch.device(name)


def own(device: torch.device, world: World) -> torch.device:
    """The one device of this process among those of its node."""
    return torch.device("cuda", world.local_rank) if device.type == "cuda" else device


def configure(run: Mapping[str, Any], threads: int) -> None:
    """Set precision and determinism as the run says, and the number of CPU threads."""
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = run["tf32"]
    torch.backends.cudnn.allow_tf32 = run["tf32"]
    torch.backends.cudnn.benchmark = not run["deterministic"]
    if run["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(run["deterministic"])
