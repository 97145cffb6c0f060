"""Which bound a step is near: arithmetic, bytes or launches, each against what this device was just seen to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Work:
    """What one call asks of the device, run eagerly."""

    flops: int
    bytes: int
    launches: int

    @classmethod
    def of(cls, call: Callable[[], object], flops: int) -> Work:
        """Count what each operation of ``call`` reads and writes, and operations.

        ``flops`` are given: torch's counter takes the backward pass of a grouped convolution for a dense one's.
        """
        with _Traffic() as traffic:
            call()
        return cls(flops, traffic.bytes, traffic.operations)

    def line(self, seconds: float, device: torch.device, dtype: torch.dtype) -> str:
        """Shares of a step of so many seconds that each bound alone would take.

        Fused operations, as under ``torch.compile`` or in a cache, move fewer bytes and launch less than counted.
        """
        shares = {
            "arithmetic": self.flops / _flops_a_second(device, dtype),
            "bytes": self.bytes / _bytes_a_second(device),
            "launches": self.launches * _seconds_a_launch(device),
        }
        nearest = max(shares, key=shares.__getitem__)
        listed = ", ".join(f"{name} {100 * share / seconds:.0f} %" for name, share in shares.items())
        return f"of a step each bound alone would take: {listed}; the nearest is {nearest}"


class _Traffic(TorchDispatchMode):
    """Bytes that operations read and write, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        aliases = [r.alias_info for r in func._schema.returns]
        if all(a is None or a.is_write for a in aliases):
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
            self.operations += 1
        return out


def _flops_a_second(device: torch.device, dtype: torch.dtype) -> float:
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    return 2 * n**3 / _seconds(lambda: a @ b, device)


def _bytes_a_second(device: torch.device) -> float:
    source = torch.zeros(2**28, device=device)  # 1 GiB: larger than any cache
    target = torch.empty_like(source)
    return 2 * source.nbytes / _seconds(lambda: target.copy_(source), device)


def _seconds_a_launch(device: torch.device) -> float:
    x = torch.zeros(1, device=device)

    def many() -> None:
        for _ in range(1000):
            x.add_(1)

    return _seconds(many, device) / 1000


def _seconds(call: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """The best of several: a bound is what the device can do."""
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best
