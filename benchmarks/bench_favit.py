"""FaViT's speed: against PVT v2, what people would pick instead, and aggregator against aggregator.

On the CPU, eager: 224 pixels, 8 images, forward and backward, interleaved, medians; freed memory is kept as training
keeps it. Beside PVT v2 each side is a process of its own, and the processor's time counts. Where CUDA is at hand also
under bfloat16 autocast at batch 128 and 256, eager and compiled, with images a second and peak memory.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable

import torch
from torch import nn

import favit.models  # noqa: F401  (before timm: makes the models known to it)

# isort: split

import timm
from interleave import Elsewhere, compare, machine_line

from favit.models import _cpu

AGGREGATORS = ("avg_pool", "published", "linear", "pointwise_conv", "probsparse")
IMAGES, PIXELS = 8, 224


def main() -> None:
    """Print a line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 repeats instead of 10")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU (default: %(default)s)")
    chosen = parser.parse_args()
    repeats = 3 if chosen.quick else 10
    on_cpu(repeats, chosen.threads)
    if torch.cuda.is_available():
        on_cuda(repeats)


def on_cpu(repeats: int, threads: int) -> None:
    """Seconds a step, and bytes that autograd keeps."""
    torch.set_num_threads(threads)
    images = torch.randn(IMAGES, 3, PIXELS, PIXELS)
    _cpu.keep_freed_memory()
    protocol = (
        f"{IMAGES} images of {PIXELS} pixels, float32, forward and backward, in turn, freed memory kept"
    )
    for size in ("b0", "b2"):
        with (
            Elsewhere(cpu_step, f"favit_{size}", threads) as ours,
            Elsewhere(cpu_step, f"pvt_v2_{size}", threads) as pvt,
        ):
            result = compare(ours, pvt, repeats, seconds_of=lambda call: call())
        print(machine_line(f"{protocol}, the processor's time"))
        print(result.line(f"favit_{size} max_pool / pvt_v2_{size}"), flush=True)
    pooled = create("favit_b0")
    for aggregator in AGGREGATORS:
        other = create("favit_b0", aggregator)
        times = compare(step(other, images), step(pooled, images), repeats)
        memory = kept_bytes(other, images) / kept_bytes(pooled, images)
        print(machine_line(protocol))
        print(times.line(f"favit_b0 {aggregator} / max_pool (memory {memory:.3f})"), flush=True)


def cpu_step(name: str, threads: int) -> Callable[[], None]:
    """A step of a model, in a process of its own."""
    torch.set_num_threads(threads)
    _cpu.keep_freed_memory()
    return step(create(name), torch.randn(IMAGES, 3, PIXELS, PIXELS))


def on_cuda(repeats: int) -> None:
    """Images a second and peak memory on the first GPU, eager and compiled."""
    print(f"{torch.cuda.get_device_name()}, bfloat16 autocast, {PIXELS} pixels, forward and backward")
    models = [("pvt_v2_b0", ""), ("favit_b0", "max_pool"), *(("favit_b0", a) for a in AGGREGATORS)]
    models += [("pvt_v2_b2", ""), ("favit_b2", "max_pool"), ("favit_b2", "probsparse")]
    for compiled in (False, True):
        for batch in (128, 256):
            for name, aggregator in models:
                cuda_line(name, aggregator, batch, compiled, repeats)


def cuda_line(name: str, aggregator: str, batch: int, compiled: bool, repeats: int) -> None:
    """Print images a second and peak memory of one model."""
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()
    model: nn.Module = create(name, aggregator or "max_pool").cuda()
    model = torch.compile(model, fullgraph=True) if compiled else model  # type: ignore[assignment]
    call = step(model, torch.randn(batch, 3, PIXELS, PIXELS, device="cuda"))

    def finished() -> None:
        call()
        torch.cuda.synchronize()

    for _ in range(3):
        finished()
    torch.cuda.reset_peak_memory_stats()
    timed = compare(finished, finished, repeats, warmup=0)
    memory = torch.cuda.max_memory_allocated() / 2**30
    kind = "compiled" if compiled else "eager"
    print(
        f"{name} {aggregator:15} {kind:9} {batch} {batch / timed.seconds_a:9.0f} images/s {memory:6.2f} GiB",
        flush=True,
    )


def create(name: str, aggregator: str = "max_pool") -> nn.Module:
    """A model in training mode."""
    return timm.create_model(name, **({"aggregator": aggregator} if name.startswith("favit") else {})).train()


def step(model: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """One forward and backward pass."""

    def call() -> None:
        model.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            logits = model(images)
        logits.float().sum().backward()

    return call


def kept_bytes(model: nn.Module, images: torch.Tensor) -> int:
    """Bytes of activations kept for the backward pass, each storage once."""
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(images)
    return sum(size for size, _ in kept.values())


if __name__ == "__main__":
    main()
