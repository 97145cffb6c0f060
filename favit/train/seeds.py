"""Every random decision of a run follows from its seed and from where in the run it is taken.

Nothing is drawn from a generator that has been running since the start: the
order of an epoch, the augmentation of a step, its dropout and its sampling each
get a seed derived from (seed, purpose, position). The generator states of a
half-finished run are therefore its step number, and resuming repeats them
exactly, however the process ended.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *where: int | str) -> int:
    """A 63-bit seed for one decision: ``derive(run_seed, "order", epoch)``."""
    text = "\0".join(map(str, (seed, *where)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *where: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that starts from ``derive(seed, *where)``."""
    return torch.Generator(device=device).manual_seed(derive(seed, *where))


def seed_forward(seed: int, *where: int | str, device: torch.device) -> None:
    """Seed the default generators of the CPU and of this device, from which dropout and drop path draw.

    ``torch.manual_seed`` would do so with those of every device that it can see.
    """
    value = derive(seed, *where)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        here = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[here].manual_seed(value)
