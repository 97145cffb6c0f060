"""The first part of ``gpu_check.py``: what a GPU computes is what the CPU computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import made_up
from benchmarks.gpu_speed import seconds
from benchmarks.gpu_training import Steps
from favit.aggregators import _probsparse_gpu as gpu
from favit.aggregators.probsparse import evenly_spread
from favit.components import registry
from favit.components.flags import flag
from favit.train import build, numerics
from favit.train.augment.pipeline import Augmentation
from favit.train.settings import Images, Optimisation, parse

Checks = Iterator[tuple[str, Callable[[], tuple[bool, Any]], float]]

CPU = torch.device("cpu")
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)
IMAGE_FACTS = {"classes": 100, "channels": 3}
SERIES_FACTS = {"variables": 7, "time_features": 4}
SIDE = 64  # float64 convolutions are slow on a CPU
RECIPES: dict[str, dict[str, Any]] = {
    "seed": made_up.SEED_RECIPE,
    "favit": made_up.FAVIT_RECIPE,
    "jitter": {**made_up.SEED_RECIPE, "color_jitter": 0.4},
    "no crop": {"flip": 0.5, "interpolation": "bicubic", "randaugment": "m9-mstd0.5-inc1"},
}


def checks(bench: Any) -> Checks:
    """Name, call and seconds of each."""
    for name, run in mechanisms().items():
        yield f"CUDA = CPU in float64: {name}", partial(in_double, bench, run), 8.0
    for name in ("max_pool", "probsparse"):
        run = made_up.images(aggregator=name, image_size=SIDE, drop_path=0.0)
        yield f"CUDA = CPU in float32 without TF32: {name}", partial(in_single, bench, run), 8.0
    for dtype in (torch.float32, torch.bfloat16):
        yield f"kernels of probsparse = torch's operations: {dtype}", partial(kernels, bench, dtype), 20.0
    for name, recipe in RECIPES.items():
        yield f"augmentation on both devices: {name}", partial(augmentation, bench, recipe), 8.0
    for name, run in families(bench).items():
        yield f"half precision beside float32: {name}", partial(precisions, bench, run), 15.0


def mechanisms() -> dict[str, dict[str, Any]]:
    """A run of each aggregator, attention and encoding."""
    still = {"image_size": SIDE, "drop_path": 0.0}
    found = {}
    for name in registry.names("aggregators"):
        found[f"aggregator {name}"] = made_up.images(aggregator=name, **still)
    exact = {"aggregator": "probsparse", "aggregator.measure": "exact", "aggregator.pool": "max"}
    found["aggregator probsparse, exact, max"] = made_up.images(**exact, **still)
    for name in registry.names("attention"):
        found[f"attention {name}"] = made_up.series(aggregator=name)
    for name in registry.names("encodings"):
        if flag("encodings", name, "IMAGES"):
            found[f"encoding {name} of images"] = made_up.images(encoding=name, **still)
        found[f"encoding {name} of series"] = made_up.series(encoding=name)
    return found


def families(bench: Any) -> dict[str, dict[str, Any]]:
    """Runs whose losses are compared over precisions."""
    images = {"image_size": SIDE, "batch_size": 8 if bench.quick else 32, "erasing": 0.0}
    found = {
        f"favit {name}": made_up.images(aggregator=name, **images) for name in ("max_pool", "probsparse")
    }
    small = {"model.d_model": 32, "model.d_ff": 64, "model.n_heads": 2} if bench.quick else {}
    for name in registry.names("attention"):
        found[f"informer {name}"] = made_up.series(aggregator=name, **small)
    return found


def in_double(bench: Any, run: dict[str, Any]) -> tuple[bool, str]:
    """Output and gradients; ties of a selection aside, to ten digits."""
    output, gradient, worst = differences(bench, run, torch.float64)
    return output < 1e-9 and gradient < 1e-7, f"output {output:.1e}, gradient {gradient:.1e} ({worst})"


def in_single(bench: Any, run: dict[str, Any]) -> tuple[bool, str]:
    """What a selection takes may differ by rounding, so only the output is judged."""
    output, gradient, worst = differences(bench, run, torch.float32)
    return output < 1e-2, f"output {output:.1e}, gradient {gradient:.1e} ({worst})"


def differences(bench: Any, run: dict[str, Any], dtype: torch.dtype) -> tuple[float, float, str]:
    """Relative ones of output and gradients, with the parameter whose gradient is farthest."""
    numerics.configure(parse(Optimisation, {**run, "tf32": False}))
    is_images = "image_size" in run
    facts = IMAGE_FACTS if is_images else SERIES_FACTS
    models = [build.model(run, facts, device).to(dtype).eval() for device in (CPU, bench.device)]
    inputs = [x.to(dtype) for x in (image_input() if is_images else series_input())]
    outputs = [
        model(*(x.to(d) for x in inputs)) for model, d in zip(models, (CPU, bench.device), strict=True)
    ]
    weight = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    for out in outputs:
        (out * weight.to(out.device)).sum().backward()
    there = dict(models[1].named_parameters())
    far = {
        name: relative(there[name].grad, p.grad)
        for name, p in models[0].named_parameters()
        if p.grad is not None and p.grad.norm() > 1e-9
    }
    worst = max(far, key=lambda name: far[name])
    return relative(outputs[1], outputs[0]), far[worst], worst


def kernels(bench: Any, dtype: torch.dtype) -> tuple[bool, str]:
    """Both of a selection's kernels, which must have been made, of FaViT-B0's first stage and of wider heads.

    Equal samples must score equal to the bit, and the same call give the same bits; how long they take is noted.
    """
    outcomes = [compared(bench, dtype, channels) for channels in (14, 32)]
    notes = [note for _, note in outcomes]
    if gpu._broken:
        notes.insert(0, f"not made: {sorted(gpu._broken)}")
    return not gpu._broken and all(ok for ok, _ in outcomes), "; ".join(notes)


def compared(bench: Any, dtype: torch.dtype, channels: int) -> tuple[bool, str]:
    """The kernels beside torch's operations for heads of this size."""
    images, length, columns = 2 if bench.quick else 128, 3136, 8
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(images, length, 1, channels, generator=generator).to(dtype) for _ in range(2)]
    samples, queries = (x.to(bench.device) for x in drawn)
    samples[:, -1000:] = samples[:, :1]  # as padding makes them, of many blocks
    queries, sample = queries.transpose(1, 2), evenly_spread(length).to(bench.device)
    key = [torch.randn(channels, channels, generator=generator), torch.randn(channels, generator=generator)]
    weight, bias = (x.to(bench.device) / channels for x in key)
    found, close, same = [], True, True
    # Near uniform attention the divergence is 1e-9 of scores that single precision has to 1e-12
    for scale, bound in ((1e-3, 1e-2), (1.0, 1e-4), (30.0, 1e-4)):
        arguments = ((queries * scale).to(dtype), samples, sample, columns, weight)
        ours, plain = gpu.divergence(*arguments), gpu._plain_divergence(*arguments)
        farthest = float(((ours - plain).abs() / plain.abs().clamp(min=1e-12)).max())
        found.append(f"divergence {farthest:.1e}")
        close, same = close and farthest < bound, same and torch.equal(ours, gpu.divergence(*arguments))
    few = samples[:, torch.arange(length, device=samples.device) % 40]  # each so often that its order decides
    for pool in ("mean", "max"):
        shares = []
        for x in (few, samples):
            given = (queries, plain, x, (weight, bias), (length // (49 * columns), columns), 9, pool)
            ours, theirs = gpu.choice(*given), gpu._plain_choice(*given[:3], weight, bias, columns, 9, pool)
            as_torch = (ours[0] == theirs[0]) & (ours[1] == theirs[1])  # counted by map, and by window
            shares.append(float(as_torch.float().mean()))
            same = same and all(map(torch.equal, ours, gpu.choice(*given)))
        found.append(f"{min(shares):.4%} of places as torch chooses by {pool}")
        close = close and min(shares) > 0.99
        equal = gpu.choice(queries, plain, samples[:, :1].expand_as(samples), *given[3:])[0]
        same = same and bool((equal == torch.arange(49, device=equal.device)).all())
    for name, call in (
        ("divergence", lambda: gpu.divergence(*arguments)),
        ("in torch's operations", lambda: gpu._plain_divergence(*arguments)),
        ("choice", lambda: gpu.choice(*given)),
        ("in torch's operations", lambda: gpu._plain_choice(*given[:3], weight, bias, columns, 9, pool)),
    ):
        milliseconds = 1e3 * seconds(call, 1 if bench.quick else 20, bench.device)
        found.append(f"{name} {milliseconds:.3f} ms")
    if not same:
        found.insert(0, "equal samples or calls differ")
    return close and same, f"{channels} channels: {', '.join(found)}"


def image_input() -> list[Tensor]:
    """One image: float64 convolutions are slow on a CPU."""
    return [torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))]


def series_input() -> list[Tensor]:
    """Windows of the default lengths."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, length, width, generator=generator) for length in (64, 72) for width in (7, 4)]


def relative(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference over the norm."""
    a, b = found.detach().double().cpu(), expected.detach().double().cpu()
    return float((a - b).norm() / b.norm().clamp(min=1e-12))


def augmentation(bench: Any, recipe: dict[str, Any]) -> tuple[bool, str]:
    """Pixels and targets on both devices, and with TF32 allowed, which must not reach them."""
    n, size = (16, SIDE) if bench.quick else (64, 224)
    noise = torch.randint(0, 256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(3)).float()
    x, y = nn.functional.avg_pool2d(noise, 3, 1, 1).byte(), torch.arange(n) % 100
    chosen = parse(Images, made_up.run_of("classification", image_size=size, **{**recipe, "erasing": 0.0}))
    levels, far, targets_far = 255 * torch.tensor(STD)[:, None, None], 0.0, 0.0
    for step in range(4):
        where = (0, step, 0)
        torch.backends.cuda.matmul.allow_tf32 = step % 2 == 1
        a, targets = Augmentation(chosen, 0, MEAN, STD, 100, CPU)(x, y, where)
        there = Augmentation(chosen, 0, MEAN, STD, 100, bench.device)
        b, targets_there = there(x.to(bench.device), y.to(bench.device), where)
        far = max(far, float((((a - b.cpu()) * levels).abs() > 0.5).float().mean()))
        targets_far = max(targets_far, relative(targets_there, targets))
    erasing = Augmentation(replace(chosen, erasing=0.9), 0, MEAN, STD, 100, bench.device)
    twice = [erasing(x.to(bench.device), y.to(bench.device), (0, 9, 0))[0] for _ in range(2)]
    repeats = torch.equal(*twice) and bool(twice[0].isfinite().all())
    note = f"{far:.4%} of pixels differ by a level; targets {targets_far:.1e}; erasing repeats: {repeats}"
    return far < 1e-3 and targets_far < 1e-6 and repeats, note


def precisions(bench: Any, run: dict[str, Any]) -> tuple[bool, dict[str, float]]:
    """The third step's loss in each precision."""
    found = {}
    for precision in ("float32", "bfloat16", "float16"):
        steps = Steps({**run, "precision": precision}, bench.root, bench.device)
        found[precision] = [round(float(steps.step().detach()), 4) for _ in range(3)][-1]
    far = max(abs(loss / found["float32"] - 1) for loss in found.values())
    return math.isfinite(far) and far < 0.03, found
