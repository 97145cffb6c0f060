"""Measure the cost of a run here: the size of its model, its examples, and a few steps on made-up ones."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from favit.components import registry
from favit.components.literals import literals, task_of
from favit.train import build, numerics, optimizer, recompute
from favit.train.life import machine
from favit.train.settings import Optimisation, parse

_ON_CPU = 8  # examples at a time: enough there, and a step of 1,024 would take minutes
_SECONDS = 10  # after which two steps are enough


@dataclass(frozen=True)
class Probe:
    """Training examples a second of one device, without what reads and augments them."""

    device: str
    on_cpu: bool
    examples_per_second: float
    memory_bytes: int  # what training takes of the device: measured on a GPU, else counted


def data_facts(run: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    """What the model has to know of the data: declared, or counted in the file. ``DataMissing`` without that."""
    facts: Mapping[str, Any] | None = literals("data", run["dataset"]).get("FACTS")
    return facts or registry.load("data", run["dataset"]).load(root, run).facts


def examples(run: Mapping[str, Any], root: Path) -> tuple[int, int]:
    """Examples trained on, and scored, in an epoch. ``DataMissing`` if the data set is not here."""
    data = registry.load("data", run["dataset"]).load(root, run)
    if task_of(run["dataset"]) == "classification":
        some = data.limited(run["limit_train"], run["limit_test"])
        return len(some.train_labels), len(some.test_labels)
    windows = (data.window_starts(p, run["input_length"], run["horizon"]) for p in ("train", "validation"))
    train, validation = map(len, windows)
    return train, validation


def build_model(run: Mapping[str, Any], facts: Mapping[str, Any]) -> nn.Module:
    """The run's model, on the CPU."""
    return build.model(run, facts, torch.device("cpu"))


def parameters(model: nn.Module) -> int:
    """The size of a model."""
    return sum(p.numel() for p in model.parameters())


def measure(
    model: nn.Module,
    run: Mapping[str, Any],
    facts: Mapping[str, Any],
    device_name: str,
    threads: int,
    batch: int,
    steps: int = 3,
) -> Probe:
    """Time up to ``steps`` training steps of ``batch`` examples (on a CPU at most 8), after one not counted."""
    device, chosen = machine.choose(device_name), parse(Optimisation, run)
    machine.prepare(min(max(1, threads), os.cpu_count() or 1), device)
    numerics.configure(chosen)
    gpu = device.type == "cuda"
    wanted = max(1, min(batch, chosen.micro_batch_size or batch))  # at a time
    batch = wanted if gpu else min(wanted, _ON_CPU)
    model.to(device).train()
    if chosen.activation_checkpointing:
        recompute.activations(model)
    stepper = optimizer.build(model, chosen)
    inputs, target = _made_up(run, facts, batch, device)
    precision = numerics.AUTOCAST.get(chosen.precision)
    loss_of = cross_entropy if target.dtype == torch.int64 else mse_loss
    seconds: list[float] = []

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, precision, enabled=precision is not None)

    kept = 0
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    else:
        with autocast():
            kept = kept_bytes(model, lambda: loss_of(model(*inputs).float(), target))
    while len(seconds) < 2 or (len(seconds) <= steps and sum(seconds) < _SECONDS):
        start = time.perf_counter()
        with autocast():
            loss = loss_of(model(*inputs).float(), target)
        loss.backward()
        stepper.step()
        if not seconds:
            fixed = fixed_bytes(model, stepper, chosen)
        stepper.zero_grad()
        if gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    name = torch.cuda.get_device_name() if gpu else f"a CPU with {torch.get_num_threads()} threads"
    memory = torch.cuda.max_memory_allocated() if gpu else fixed + kept * wanted // batch
    return Probe(name, not gpu, batch / statistics.median(seconds[1:]), memory)


def fixed_bytes(model: nn.Module, stepper: torch.optim.Optimizer, chosen: Optimisation) -> int:
    """Bytes that do not grow with the batch: weights, their gradients, what the optimizer keeps, an average."""
    weights = sum(p.nbytes for p in model.parameters())
    moments = sum(
        v.nbytes for state in stepper.state.values() for v in state.values() if isinstance(v, Tensor)
    )
    return weights * (2 + bool(chosen.ema)) + moments


def kept_bytes(model: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Bytes that a forward pass keeps for its backward pass, weights left out: they grow with the batch.

    What a step takes besides, for as long as one operation lasts, is not in it.
    """
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Tensor] = {}  # held, so that no two share an address

    def note(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in known:
            kept.setdefault(address, tensor.detach())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _made_up(
    run: Mapping[str, Any], facts: Mapping[str, Any], n: int, device: torch.device
) -> tuple[list[Tensor], Tensor]:
    if task_of(run["dataset"]) == "classification":
        images = torch.randn(n, facts["channels"], run["image_size"], run["image_size"], device=device)
        return [images], torch.randint(facts["classes"], (n,), device=device)
    lengths = run["input_length"], run["label_length"] + run["horizon"]
    widths = facts["variables"], facts["time_features"]
    inputs = [torch.randn(n, length, width, device=device) for length in lengths for width in widths]
    return inputs, torch.randn(n, run["horizon"], facts["variables"], device=device)
