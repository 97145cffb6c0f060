"""The device, threads and memory of a run; numbers should not depend on them."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import MutableMapping
from pathlib import Path

import torch

from favit.models import _cpu, _torchvision
from favit.train.distributed import World

NAMES = ("auto", "cpu", "cuda")


def choose(name: str) -> torch.device:
    """``cpu``, ``cuda`` or, for ``auto``, a GPU where there is one. ``ValueError`` if there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device; valid here: auto, cpu")
    return torch.device(name)


def own(device: torch.device, world: World) -> torch.device:
    """The one device of this process among those of its node."""
    return torch.device("cuda", world.local_rank) if device.type == "cuda" else device


def at_most_its_own(asked: int, device: torch.device) -> int:
    """So many threads, or processes that read; where a GPU trains, no more than the CPUs that this process may use.

    Runs that share a GPU may share the CPUs that one of them asked for. On a CPU the number stays, for sums are split
    among threads.
    """
    return asked if device.type == "cpu" else min(asked, len(os.sched_getaffinity(0)))


def prepare(threads: int, device: torch.device) -> None:
    """Set the number of CPU threads (0: torch's own choice), and keep memory where that is faster."""
    _torchvision.prepare_when_imported()
    if threads:
        torch.set_num_threads(threads)
    if device.type == "cpu":
        _cpu.keep_freed_memory()


def share_compiled_code(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have torch.compile and kernels keep what they compile where all runs of this user on this machine find it.

    torch's own choice is the machine's folder for temporary files, which may be a job's own; Triton's is the home
    folder's, which several machines may share. Processes that compile the same at once both do it; each file is
    renamed into its place. Folders that are chosen already stay.
    """
    if "TORCHINDUCTOR_CACHE_DIR" in environment:
        return
    base = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "favit" / "compiled" / f"{socket.gethostname()}-torch{torch.__version__}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # torch's own choice, then
    if os.access(folder, os.W_OK):
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        environment.setdefault("TRITON_CACHE_DIR", str(folder / "triton"))


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that tensors took of the GPU, or the process of the machine."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
