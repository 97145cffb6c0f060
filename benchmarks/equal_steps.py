"""Train Informer and its authors' program side by side: same weights, windows and sampled keys, step for step.

``python benchmarks/equal_steps.py ../Informer2020 --data data`` takes a checkout of zhouhaoyi/Informer2020 and the
folder of data sets, in which ETTh1 is. Without dropout nothing else is random, so that what differs is rounding:
the losses are compared, not the weights, of which some (the biases of keys) have a gradient that is rounding alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from favit.models.informer import checkpoint_filter_fn
from favit.sweeps.runs import resolve
from favit.train import build, seeds
from favit.train.distributed import World

CPU = torch.device("cpu")
WIDTH, HIDDEN, HEADS, INPUT, LABEL, HORIZON = 128, 256, 8, 64, 48, 24
RUN = {
    "dataset": "etth1", "model": "informer", "encoding": "sinusoidal", "seed": 0, "optimizer": "adam", "lr": 1e-4,
    "schedule": "halving", "batch_size": 32, "input_length": INPUT, "label_length": LABEL, "horizon": HORIZON,
    "model.d_model": WIDTH, "model.d_ff": HIDDEN, "model.n_heads": HEADS, "model.dropout": 0.0,
}  # fmt: skip


def published(folder: Path, attention: str) -> nn.Module:
    """The authors' model by their own code, from weights of its own."""
    sys.path.insert(0, str(folder))
    from models.model import Informer  # type: ignore[import-not-found]

    torch.manual_seed(1)
    kind = {"probsparse": "prob", "full": "full"}[attention]
    sizes = (7, 7, 7, INPUT, LABEL, HORIZON, 5, WIDTH, HEADS, 2, 1, HIDDEN, 0.0)
    model: nn.Module = Informer(*sizes, kind, "timeF", "h", "gelu", False, True, True, CPU)
    return model.float().train()


class SameKeys:
    """Hands the authors' attention the keys that ours has sampled, layer by layer."""

    def __init__(self, ours: nn.Module) -> None:
        self._sparse: list[Any] = [m for m in ours.modules() if hasattr(m, "resample")]
        self._next: list[Tensor] = []
        self._randint = torch.randint
        torch.randint = self._drawn  # type: ignore[assignment]

    def sample(self, step: int) -> None:
        """Draw for a step."""
        for module in self._sparse:
            module.resample(seeds.generator(0, "equal steps", step))
        self._next = [module.training_keys.clone() for module in self._sparse]

    def _drawn(self, *arguments: Any, **named: Any) -> Tensor:
        return self._next.pop(0) if self._next else self._randint(*arguments, **named)


def compare(folder: Path, data: Path, attention: str, steps: int) -> float:
    """The largest relative difference of a step's loss."""
    task = build.task(dict(resolve({**RUN, "aggregator": attention}).settings), data, CPU, World(), 0)
    ours, theirs = task.model.train(), published(folder, attention)
    ours.load_state_dict(checkpoint_filter_fn(theirs.state_dict(), ours), strict=False)
    keys = SameKeys(ours)
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-4) for model in (ours, theirs)]
    worst = 0.0
    for batch, (*inputs, target) in task.batches(task.order.epoch(0, 0, World(), CPU), 0):
        if batch.step == steps:
            break
        keys.sample(batch.step)
        losses = [(model(*inputs) - target).square().mean() for model in (ours, theirs)]
        for optimizer, loss in zip(optimizers, losses, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        one, other = (loss.item() for loss in losses)
        worst = max(worst, abs(one - other) / other)
    print(
        f"{attention}: after {steps} steps {one:.6f} and {other:.6f}, largest relative difference {worst:.1e}"
    )
    return worst


def main() -> None:
    """Compare both attentions."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("program", type=Path, help="a checkout of zhouhaoyi/Informer2020")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for attention in ("probsparse", "full"):
        compare(options.program, options.data, attention, options.steps)


if __name__ == "__main__":
    main()
