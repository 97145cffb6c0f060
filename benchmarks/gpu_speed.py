"""The third part of ``gpu_check.py``: examples a second, beside timm's PVT v2 in a plain loop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks import made_up
from benchmarks.gpu_training import Steps
from favit.train.augment.pipeline import Augmentation
from favit.train.settings import Images, parse

Checks = Iterator[tuple[str, Callable[[], tuple[bool, Any]], float]]

MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)
FAST = {"precision": "bfloat16", "tf32": True}


def checks(bench: Any) -> Checks:
    """Name, call and seconds of each; what was measured is kept as ``speed``."""
    bench.found.setdefault("speed", {})
    batch, size = (8, 64) if bench.quick else (128, 224)
    images = partial(made_up.images, image_size=size, batch_size=batch)
    small = {"model.d_model": 32, "model.d_ff": 64, "model.n_heads": 2} if bench.quick else {}
    series = partial(made_up.series, **small)
    for name in ("seed", "favit"):
        yield f"speed of augmentation, {name}", partial(augmentation, bench, name, batch, size), 10.0
    yield from pair(bench, "b0", images, compiled=False)
    yield "speed of informer float32", partial(training, bench, "informer float32", series()), 15.0
    yield "speed of informer tf32", partial(training, bench, "informer tf32", series(tf32=True)), 15.0
    if bench.quick:
        return
    yield from pair(bench, "b2", images, compiled=False)
    yield from pair(bench, "b0", images, compiled=True)
    wide = images(**FAST, channels_last=True)
    yield "speed of favit_b0, channels last", partial(training, bench, "favit_b0 channels last", wide), 20.0
    yield "speed of favit_b0 float32", partial(training, bench, "favit_b0 float32", images()), 20.0
    tf32 = series(tf32=True, compile=True)
    yield "speed of informer compiled", partial(training, bench, "informer tf32 compiled", tf32), 60.0
    yield from pair(bench, "b2", images, compiled=True)


def pair(bench: Any, size: str, images: Callable[..., dict[str, Any]], compiled: bool) -> Checks:
    """FaViT with both aggregators, and PVT v2 of that size."""
    seconds, word = (100.0, " compiled") if compiled else (20.0, "")
    for aggregator in ("max_pool", "probsparse"):
        name = f"favit_{size} {aggregator} bf16{word}"
        run = images(model=f"favit_{size}", aggregator=aggregator, compile=compiled, **FAST)
        yield f"speed of {name}", partial(training, bench, name, run), seconds
    name = f"pvt_v2_{size}"
    call = partial(plain, bench, name, compiled, images()["batch_size"], images()["image_size"])
    yield f"speed of {name} bf16{word}, plain loop", call, seconds


def training(bench: Any, name: str, run: dict[str, Any]) -> tuple[bool, Any]:
    """The product's step with its input, and the same step on a batch that is there."""
    repeats = 2 if bench.quick else 15
    steps = Steps(run, bench.root, bench.device)
    began = time.perf_counter()
    steps.step()
    synchronise(bench.device)
    first = time.perf_counter() - began
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    whole = seconds(steps.step, repeats, bench.device)
    epoch, batch, examples = steps.next()
    alone = seconds(lambda: steps.learner.step(batch, examples, epoch), repeats, bench.device)
    row = {
        "examples/s": round(run["batch_size"] / whole),
        "ms/step": round(1e3 * whole, 2),
        "outside the model": f"{100 * (1 - alone / whole):.0f} %",
        "first step s": round(first, 1),
    }
    if bench.device.type == "cuda":
        row["GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    bench.found["speed"][name] = row
    return True, row


def plain(bench: Any, name: str, compiled: bool, batch: int, size: int) -> tuple[bool, Any]:
    """The usual loop on a batch that is already there, which is what a step of PVT v2 costs at least."""
    import timm

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    model: nn.Module = timm.create_model(name, num_classes=100).to(bench.device).train()
    forward: Any = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    x = torch.randn(batch, 3, size, size, device=bench.device)
    y = torch.randint(100, (batch,), device=bench.device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(bench.device.type, torch.bfloat16):
            loss = nn.functional.cross_entropy(forward(x), y)
        loss.backward()
        optimizer.step()

    found = seconds(step, 2 if bench.quick else 15, bench.device)
    row = {"examples/s": round(batch / found), "ms/step": round(1e3 * found, 2)}
    bench.found["speed"][f"{name} bf16{' compiled' if compiled else ''}, plain loop"] = row
    return True, row


def augmentation(bench: Any, recipe: str, batch: int, size: int) -> tuple[bool, Any]:
    """Images a second that the transforms alone prepare."""
    x = torch.randint(0, 256, (batch, 3, 32, 32), dtype=torch.uint8).to(bench.device)
    y = (torch.arange(batch) % 100).to(bench.device)
    settings = made_up.FAVIT_RECIPE if recipe == "favit" else made_up.SEED_RECIPE
    run = made_up.run_of("classification", image_size=size, **settings)
    augment = Augmentation(parse(Images, run), 0, MEAN, STD, 100, bench.device)
    places = iter(range(10**9))
    found = seconds(lambda: augment(x, y, (0, next(places), 0)), 3 if bench.quick else 20, bench.device)
    row = {"examples/s": round(batch / found), "ms/step": round(1e3 * found, 2)}
    bench.found["speed"][f"augmentation alone, {recipe}"] = row
    return True, row


def seconds(call: Callable[[], object], calls: int, device: torch.device) -> float:
    """Median seconds of a call, of three runs of ``calls`` each, after two that do not count."""
    call(), call()
    synchronise(device)
    found = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        synchronise(device)
        found.append((time.perf_counter() - began) / calls)
    return statistics.median(found)


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()
