"""The device, and the switches of torch that numbers depend on: always those of the run, never a device's defaults."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

import torch

from favit.train.distributed import World

NAMES = ("auto", "cpu", "cuda")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


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


def configure(run: Mapping[str, Any], threads: int, device: torch.device) -> None:
    """Set precision and determinism as the run says, the number of CPU threads, and memory for the device."""
    if threads:
        torch.set_num_threads(threads)
    if device.type == "cpu":
        _keep_freed_memory()
    torch.backends.cuda.matmul.allow_tf32 = run["tf32"]
    torch.backends.cudnn.allow_tf32 = run["tf32"]
    torch.backends.cudnn.benchmark = not run["deterministic"]
    if run["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(run["deterministic"])


def _keep_freed_memory() -> None:
    """Let freed activations serve the next step, as a GPU's allocator does.

    glibc hands blocks of tens of megabytes back to the system and fetches them again, page by page: a seventh
    of a training step of FaViT-B0. Other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, -1)
