"""Divide an allocation's GPUs, CPUs and memory among the slots of a pack."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .member import Membership
from .record import dataclass

# How libraries learn which GPUs are theirs. The first is always set; the others where SLURM has set them.
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
MPS_PIPES = Path("/tmp/nvidia-mps")  # where CUDA's daemon listens, unless the variable says otherwise


@dataclass(frozen=True)
class Slot:
    """A place for one member at a time."""

    number: int
    gpus: tuple[str, ...]  # by the names of CUDA_VISIBLE_DEVICES
    others: Mapping[str, str]  # the further variables for GPUs
    cpus: int
    pinned: frozenset[int]  # CPUs to keep to; none where there are fewer than were asked for
    memory_mb: int
    shared: bool  # its GPU has other slots, too

    def variables(self, owner: str, limit_s: float | None, alone: bool = False) -> dict[str, str]:
        """Return what the environment of a member differs in from the allocation's."""
        # Without the second, a member's `srun` would wait until those of its neighbours have ended.
        found = dict(self.others) | {"SLURM_CPUS_PER_TASK": str(self.cpus), "SLURM_OVERLAP": "1"}
        if self.gpus:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        suspects = self.shared and not alone and mps_is_there()
        return found | Membership(owner, self.cpus, limit_s, self.memory_mb, suspects).variables()

    def pin(self) -> None:
        """Keep this process, which is about to become a member, to the slot's CPUs."""
        if self.pinned:
            os.sched_setaffinity(0, self.pinned)


def shape(pack: Mapping[str, Any], members: int) -> tuple[int, int, int]:
    """Return for so many members on one list: the allocations, the slots of each, and the rounds."""
    allocations = -(-members // (pack["slots"] * pack["rounds"]))
    slots = min(pack["slots"], -(-members // allocations))
    return allocations, slots, -(-members // (allocations * slots))


def make(pack: Mapping[str, Any], members: int) -> list[Slot]:
    """Return the slots of one allocation for a list of members, as many as were asked for (see `packs.py`)."""
    (_, count, _), sharers = shape(pack, members), pack["jobs_per_gpu"]
    whole = -(-count // sharers)  # as many GPUs, or sets of them, as are needed
    cpus = max(1, pack["cpus"] // sharers)
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < cpus * count:
        allowed = []
    names = gpu_names(pack["gpus"] * whole)
    return [
        Slot(
            number=number,
            gpus=tuple(part(names["CUDA_VISIBLE_DEVICES"], number // sharers, pack["gpus"])),
            others={
                name: ",".join(part(listed, number // sharers, pack["gpus"]))
                for name, listed in names.items()
                if name != "CUDA_VISIBLE_DEVICES"
            },
            cpus=cpus,
            pinned=frozenset(part(allowed, number, cpus)),
            memory_mb=pack["memory_mb"] // sharers,
            shared=sharers > 1,
        )
        for number in range(count)
    ]


def part(everything: list[Any], number: int, size: int) -> list[Any]:
    """Return the part of that number, of parts of a size."""
    return everything[number * size : (number + 1) * size]


def gpu_names(wanted: int) -> dict[str, list[str]]:
    """Return variable -> GPUs of the allocation, as SLURM has named them; numbers where it has not."""
    found = {"CUDA_VISIBLE_DEVICES": [str(number) for number in range(wanted)]}
    for name in GPU_VARIABLES:
        listed = [gpu for gpu in os.environ.get(name, "").split(",") if gpu]
        if wanted and len(listed) >= wanted:
            found[name] = listed
    return found


def mps_is_there() -> bool:
    """Return whether CUDA's MPS daemon runs here already: then members that share a GPU are its clients."""
    return (Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or MPS_PIPES) / "control").exists()


def gpu_memory(nvidia_smi: str | None) -> dict[str, tuple[int, int]]:
    """Return GPU -> megabytes used and there are, by number and by UUID; nothing where that cannot be measured."""
    if nvidia_smi is None:
        return {}
    query = [nvidia_smi, "--query-gpu=index,uuid,memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        rows = [[word.strip() for word in line.split(",")] for line in told.splitlines() if line.strip()]
        return {name: (int(row[2]), int(row[3])) for row in rows for name in row[:2]}
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return {}
