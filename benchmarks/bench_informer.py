"""Informer at full size on ETTh1's shapes: a training step against a plain restatement, and what training adds to it.

    python benchmarks/bench_informer.py [--quick] [--threads N]

The first lines give seconds a step of ours and of ``plain_informer``, timed in
turn, and their ratio. The next ones time how ProbSparse selects its queries, by
all L x L scores, against computing only the sampled ones. The last ones train a
synthetic series with the real loop and say which share of an epoch of ETTh1's
268 steps is spent outside forward, backward and optimizer: cutting windows,
sampling, bookkeeping, and at its end saving.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from interleave import compare
from plain_informer import PlainInformer
from torch import Tensor, nn

from favit.attention._sparse import ProbSparse, sparsity
from favit.models.informer import build

BATCH, INPUT, LABEL, HORIZON = 32, 64, 48, 24
STEPS_AN_EPOCH = 268
FACTS = {"variables": 7, "time_features": 4}


def informer(aggregator: str) -> nn.Module:
    """Ours, as the sweeps on ETTh1 build it."""
    lengths = {"input_length": INPUT, "label_length": LABEL, "horizon": HORIZON}
    return build({"aggregator": aggregator, "encoding": "sinusoidal", **lengths}, FACTS)


def batch() -> tuple[tuple[Tensor, ...], Tensor]:
    """Inputs and target of one step."""
    x_dec = torch.randn(BATCH, LABEL + HORIZON, 7)
    x_dec[:, LABEL:] = 0
    inputs = (
        torch.randn(BATCH, INPUT, 7),
        torch.rand(BATCH, INPUT, 4),
        x_dec,
        torch.rand(BATCH, LABEL + HORIZON, 4),
    )
    return inputs, torch.randn(BATCH, HORIZON, 7)


def stepper(model: nn.Module) -> Callable[[], None]:
    """One training step, sampling included, with the same optimizer for whatever model."""
    inputs, target = batch()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4)
    samplers: list[Any] = [m for m in model.modules() if hasattr(m, "resample")]
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        for sampler in samplers:
            sampler.resample(generator)
        adam.zero_grad()
        (model(*inputs) - target).square().mean().backward()
        adam.step()

    return step


class Inside:
    """Seconds spent in forward, backward and optimizer, and the number of steps."""

    def __init__(self) -> None:
        self.seconds, self.steps = 0.0, 0

    @contextmanager
    def measured(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """Time every call of the three while the context lasts."""
        backward = Tensor.backward
        model.forward = self._timed(model.forward)  # type: ignore[method-assign]
        optimizer.step = self._timed(optimizer.step, counts=True)  # type: ignore[method-assign]
        Tensor.backward = self._timed(backward)  # type: ignore[method-assign]
        try:
            yield
        finally:
            Tensor.backward = backward  # type: ignore[method-assign]

    def _timed(self, call: Callable[..., Any], counts: bool = False) -> Callable[..., Any]:
        def timed(*arguments: Any, **keywords: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments, **keywords)
            finally:
                self.seconds += time.perf_counter() - start
                self.steps += counts

        return timed


def synthetic(folder: Path, windows: int) -> None:
    """A CSV whose training part has so many windows."""
    rows = round((windows + INPUT + HORIZON) / 0.7) + 1
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(rows, 7)), columns=list("abcdefg"))
    table.insert(0, "date", pd.date_range("2020-01-01", periods=rows, freq="h").astype(str))
    table.to_csv(folder / "synthetic.csv", index=False)


def outside(steps: int, threads: int) -> None:
    """Train one epoch with the real loop and print what is spent outside the model."""
    from favit.components.declared import training_defaults
    from favit.train import engine
    from favit.train.distributed import World
    from favit.train.life.host import RunHost
    from favit.train.life.reporter import Reporter
    from favit.train.life.signals import StopRequest

    run = training_defaults("forecasting")
    run |= {
        "dataset": "csv",
        "dataset.path": "synthetic.csv",
        "model": "informer",
        "aggregator": "probsparse",
    }
    run |= {
        "encoding": "sinusoidal",
        "optimizer": "adam",
        "schedule": "halving",
        "lr": 1e-4,
        "weight_decay": 0.0,
    }
    run |= {"seed": 0, "epochs": 1, "batch_size": BATCH}
    with tempfile.TemporaryDirectory() as name:
        folder, cpu = Path(name), torch.device("cpu")
        synthetic(folder, windows=steps * BATCH)
        host = RunHost(folder, "none", cpu, StopRequest(), None, Reporter(folder, speaks=True))
        trainer = engine.trainer(run, folder, cpu, World(), 0, host)
        inside, learner = Inside(), trainer.learner
        with inside.measured(trainer.task.model, learner._optimizer):
            start = time.perf_counter()
            trainer._train_epoch()
            trained, in_training = time.perf_counter() - start, inside.seconds
            trainer._close_epoch(learner.score(trainer.task.evaluate, lambda: None))
            closing = time.perf_counter() - start - trained - (inside.seconds - in_training)
    a_step, in_model = (trained - in_training) / inside.steps, in_training / inside.steps
    epoch = STEPS_AN_EPOCH * (a_step + in_model) + closing
    share = (STEPS_AN_EPOCH * a_step + closing) / epoch
    print(
        f"outside the model: {1e3 * a_step:.2f} ms a step of {1e3 * (in_model + a_step):.0f} ms, "
        f"{closing:.2f} s at an epoch's end: {share:.2%} of an epoch of {STEPS_AN_EPOCH} steps ({threads} threads)"
    )


def gathered_measure(q_bhld: Tensor, k_bhld: Tensor, keys_lu: Tensor) -> Tensor:
    """The sampled scores alone, from a copy of the sampled keys, as the authors' code takes them: (B, H, L)."""
    scores_bhlu = (k_bhld[:, :, keys_lu] @ q_bhld.unsqueeze(-1)).squeeze(-1)
    return sparsity(scores_bhlu, "max_mean", len(keys_lu))


def selection(lengths: Sequence[int], repeats: int) -> None:
    """Print from which length computing only the sampled scores would pay."""
    for length in lengths:
        sparse = ProbSparse(length=length, causal=False, factor=5, measure="max_mean", exact=False).eval()
        q, k = torch.randn(1, 8, length, 64), torch.randn(1, 8, length, 64)
        keys, kept = sparse.evaluation_keys, sparse.kept

        def sampled(q: Tensor = q, k: Tensor = k, keys: Tensor = keys, kept: int = kept) -> None:
            gathered_measure(q, k, keys).topk(kept, sorted=False)

        def ours(sparse: ProbSparse = sparse, q: Tensor = q, k: Tensor = k) -> None:
            sparse.select(q, k)

        with torch.no_grad():
            result = compare(sampled, ours, repeats=repeats)
        print(result.line(f"queries of {length} steps selected, sampled scores only / ours"), flush=True)


def main() -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    for aggregator in ("probsparse", "full"):
        ours, plain = informer(aggregator), PlainInformer(aggregator == "probsparse", HORIZON)
        assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in plain.parameters())
        result = compare(stepper(ours), stepper(plain), repeats=3 if chosen.quick else 10)
        print(result.line(f"Informer {aggregator}, training step, ours / plain"), flush=True)
    selection((64, 336, 672, 2048, 4096, 8192), repeats=3 if chosen.quick else 10)
    outside(steps=8 if chosen.quick else 40, threads=chosen.threads)


if __name__ == "__main__":
    main()
