"""One process or several: who I am, and the few things that processes tell each other.

``python -m favit.train --processes N --run ...`` has torchrun start one process a device, which sets ``RANK``,
``LOCAL_RANK`` and ``WORLD_SIZE``; without them a run is one process and nothing here communicates.
Control messages travel over gloo on the CPU, so that they never wait for a GPU.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """This process among its peers."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0


def join(device: str) -> World:
    """Join the processes that torchrun started; alone otherwise."""
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        return World()
    world = World(
        int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", 0))
    )
    if world.size == 1:
        return World()
    if device.startswith("cuda"):
        torch.cuda.set_device(world.local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
    return world


def wrap(model: nn.Module, world: World, device: torch.device) -> nn.Module:
    """``model`` with its gradients averaged over all processes."""
    if world.size == 1 or not any(parameter.requires_grad for parameter in model.parameters()):
        return model
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)


def share_buffers(model: nn.Module, world: World) -> None:
    """Give every process the first one's buffers (the running statistics of batch norms)."""
    if world.size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def gather(value: Tensor, world: World) -> Tensor:
    """``value`` (...) of every process, stacked in rank order: (world, ...)."""
    if world.size == 1:
        return value[None]
    parts = [torch.empty_like(value) for _ in range(world.size)]
    dist.all_gather(parts, value.contiguous())
    return torch.stack(parts)


def broadcast_object(value: Any, world: World) -> Any:
    """The first process's ``value``, everywhere."""
    if world.size == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


class Agreement:
    """Whether any process wants to stop, known to all of them at the same step.

    A vote is sent without waiting and read one step later, when it has long
    arrived, so agreeing costs no step any time; and because every process reads
    the same vote at the same step, all stop together.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._vote = torch.zeros(1, dtype=torch.int32)
        self._pending: dist.Work | None = None

    def stop(self, wanted: bool) -> bool:
        """Cast this step's vote; returns the outcome of the last step's (alone: of this one)."""
        if self._world.size == 1:
            return wanted
        outcome = self._collect()
        self._vote = torch.tensor([int(wanted)], dtype=torch.int32)
        self._pending = dist.all_reduce(self._vote, op=dist.ReduceOp.MAX, async_op=True)
        return outcome

    def _collect(self) -> bool:
        if self._pending is None:
            return False
        self._pending.wait()
        self._pending = None
        return bool(self._vote.item())

    def settle(self) -> None:
        """Wait for the vote still under way."""
        self._collect()
