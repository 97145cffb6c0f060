"""What each route of ``favit.models._cpu`` gains: a training step without it against one with all, in turn.

FaViT-B0 at 224 pixels and Informer as its recipe has it, on one thread, each side in a process of its own since
what glibc keeps is a process's; the processor's time counts. Above 1: a step takes so many times as long without
the route.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.interleave import Elsewhere, compare, machine_line
from favit.models import _cpu

Made = tuple[torch.nn.Module, list[torch.Tensor]]  # a model and what it takes


def main() -> None:
    """Print one line a route and model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help="pairs of steps (default: %(default)s)")
    parser.add_argument("--images", type=int, default=8, help="in a step of FaViT (default: %(default)s)")
    parser.add_argument(
        "--windows", type=int, default=32, help="in a step of Informer (default: %(default)s)"
    )
    parser.add_argument(
        "--without", nargs="*", default=sorted(_cpu.ROUTES), help="routes; default: all of them"
    )
    chosen = parser.parse_args()
    for route in chosen.without:
        if chosen.images:
            report(route, favit, chosen.images, chosen.repeats)
        if chosen.windows and route in ("convolutions", "kept memory"):  # Informer takes no other
            report(route, informer, chosen.windows, chosen.repeats)


def report(route: str, make: Callable[[int], Made], examples: int, repeats: int) -> None:
    """Compare steps of one model."""
    with Elsewhere(step, make, examples, route) as without, Elsewhere(step, make, examples, "") as with_all:
        result = compare(without, with_all, repeats, 2, seconds_of=lambda call: call())
    print(machine_line("one thread in a process of its own each, in turn, freed memory kept"))
    print(result.line(f"{make.__name__}, {examples} at a time, without {route} / with it"), flush=True)


def step(make: Callable[[int], Made], examples: int, without: str) -> Callable[[], None]:
    """A call trains one step on made-up examples, without one of the routes."""
    _cpu.ROUTES.discard(without)
    torch.set_num_threads(1)
    _cpu.keep_freed_memory()
    torch.manual_seed(0)
    network, inputs = make(examples)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def call() -> None:
        network(*inputs).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return call


def favit(images: int) -> Made:
    """FaViT-B0, and images of 224 pixels."""
    import favit.models  # noqa: F401  (makes the models known to timm)

    # isort: split
    import timm

    return timm.create_model("favit_b0", aggregator="max_pool").train(), [torch.randn(images, 3, 224, 224)]


def informer(windows: int) -> Made:
    """Informer as its recipe has it, and windows of seven variables with their time features."""
    from favit.components.declared import training_defaults
    from favit.models.informer import build

    run = training_defaults("forecasting")
    run |= {"model": "informer", "aggregator": "probsparse", "encoding": "sinusoidal"}
    network = build(run, {"variables": 7, "time_features": 4}).train()
    lengths = run["input_length"], run["label_length"] + run["horizon"]
    return network, [torch.randn(windows, length, width) for length in lengths for width in (7, 4)]


if __name__ == "__main__":
    main()
