"""How fast a run would train here: a few steps of its model on made-up examples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from favit.literals import literals, task_of
from favit.train import device as devices
from favit.train import models, optimizer

_ON_CPU = 8  # examples at a time: enough there, and a step of 1,024 would take minutes


@dataclass(frozen=True)
class Probe:
    """Training examples a second of one device, without what reads and augments them."""

    device: str
    examples_per_second: float
    parameters: int


def measure(run: Mapping[str, Any], device_name: str, batch: int, steps: int = 3) -> Probe:
    """Time training steps of ``batch`` examples (on a CPU at most 8), after one that is not counted."""
    device = devices.choose(device_name)
    devices.configure(run, 0, device)
    gpu = device.type == "cuda"
    batch = max(1, batch if gpu else min(batch, _ON_CPU))
    model = models.build(run, literals("data", run["dataset"])["FACTS"], device).train()
    stepper = optimizer.build(model, run)
    inputs, target = _examples(run, batch, device)
    precision = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(run["precision"])
    loss_of = cross_entropy if target.dtype == torch.int64 else mse_loss
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        with torch.autocast(device.type, precision, enabled=precision is not None):
            loss = loss_of(model(*inputs).float(), target)
        loss.backward()
        stepper.step()
        stepper.zero_grad()
        if gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    name = torch.cuda.get_device_name() if gpu else f"a CPU with {torch.get_num_threads()} threads"
    parameters = sum(p.numel() for p in model.parameters())
    return Probe(name, batch / statistics.median(seconds[1:]), parameters)


def _examples(run: Mapping[str, Any], n: int, device: torch.device) -> tuple[list[Tensor], Tensor]:
    facts = literals("data", run["dataset"])["FACTS"]
    if task_of(run["dataset"]) == "classification":
        images = torch.randn(n, facts["channels"], run["image_size"], run["image_size"], device=device)
        return [images], torch.randint(facts["classes"], (n,), device=device)
    lengths = run["input_length"], run["label_length"] + run["horizon"]
    widths = facts["variables"], facts["time_features"]
    inputs = [torch.randn(n, length, width, device=device) for length in lengths for width in widths]
    return inputs, torch.randn(n, run["horizon"], facts["variables"], device=device)
