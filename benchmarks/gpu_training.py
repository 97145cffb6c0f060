"""The second part of ``gpu_check.py``: resumption to the bit, hidden waits, ends of every kind, on a GPU."""

from __future__ import annotations

import collections
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import made_up
from favit.train import build, engine, numerics
from favit.train.distributed import World
from favit.train.latest import Latest
from favit.train.learner import Learner
from favit.train.loop import Diverged, Interrupted, Trainer
from favit.train.settings import Optimisation, parse

Checks = Iterator[tuple[str, Callable[[], tuple[bool, Any]], float]]

SMALL_IMAGES = {"epochs": 2, "limit_train": 320, "limit_test": 100, "batch_size": 64, "image_size": 64}
SMALL_SERIES = {"epochs": 1, "batch_size": 1024, "lr": 1e-3}
QUICK_IMAGES = {"limit_train": 8, "limit_test": 4, "batch_size": 4, "image_size": 32, "precision": "float32"}
QUICK_SERIES = {"batch_size": 4096, "model.d_model": 16, "model.d_ff": 32, "model.n_heads": 2}
RESUMED: dict[str, dict[str, Any]] = {
    "favit max_pool bf16, ema, clip": made_up.images(
        **SMALL_IMAGES, ema=0.99, clip_grad=1.0, precision="bfloat16"
    ),
    "favit probsparse": made_up.images(**SMALL_IMAGES, aggregator="probsparse"),
    "favit probsparse fp16": made_up.images(**SMALL_IMAGES, aggregator="probsparse", precision="float16"),
    "favit linear, learned, bf16": made_up.images(
        **SMALL_IMAGES, aggregator="linear", encoding="learned", precision="bfloat16"
    ),
    "informer probsparse": made_up.series(**SMALL_SERIES),
    "informer delta_v, ema": made_up.series(**SMALL_SERIES, aggregator="delta_v", ema=0.9),
    "informer cross_terms": made_up.series(**SMALL_SERIES, aggregator="cross_terms"),
}
STEPPED: dict[str, dict[str, Any]] = {
    "favit recipe, probsparse": made_up.images(precision="bfloat16", aggregator="probsparse"),
    "seed recipe": made_up.run_of(
        "classification", **made_up.IMAGES, **made_up.SEED_RECIPE, precision="bfloat16"
    ),
    "jitter": made_up.images(randaugment="", color_jitter=0.4),
    "clip, ema, fp16": made_up.images(precision="float16", clip_grad=1.0, ema=0.99),
    "informer": made_up.series(),
}


def checks(bench: Any) -> Checks:
    """Name, call and seconds of each."""
    for name, run in STEPPED.items():
        yield f"no wait in a step: {name}", partial(waits, bench, run), 10.0
    for deterministic in (True, False):
        kind = "deterministic" if deterministic else "default settings"
        for name, run in RESUMED.items():
            changed = {**run, "deterministic": deterministic}
            yield f"a resumed run repeats the bits, {kind}: {name}", partial(resumed, bench, changed), 20.0
    yield "a checkpoint of the GPU goes on on the CPU", partial(elsewhere, bench), 15.0
    for precision in ("float32", "bfloat16"):
        yield (
            f"a loss that is not finite ends the run: {precision}",
            partial(diverges, bench, precision),
            10.0,
        )


class Kept:
    """A host that keeps the state in memory, and asks to stop at one of its looks."""

    def __init__(self, state: bytes | None = None, stop_at: int | None = None) -> None:
        self.state, self._left = state, stop_at

    def stop_reason(self) -> str | None:
        if self._left is None:
            return None
        self._left -= 1
        return "asked" if self._left < 0 else None

    def load(self) -> bytes | None:
        return self.state

    def save(self, position: int, state: bytes, history: Sequence[Any]) -> None:
        self.state = state

    def measured(self) -> dict[str, Any]:
        return {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else it is told."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_, **__: None


class Steps:
    """The product's own steps, one after the other, with nothing to write."""

    def __init__(self, run: dict[str, Any], root: Path, device: torch.device) -> None:
        chosen = parse(Optimisation, run)
        numerics.configure(chosen)
        self.device = device
        self.task = build.task(run, root, device, World(), 0)
        self.learner = Learner(self.task, chosen, device, World())
        self.learner.begin_epoch(run["lr"])
        self._batches = self._endless()

    def _endless(self) -> Iterator[tuple[int, Any, Any]]:
        """Prepared batches of epoch after epoch."""
        for epoch in count():
            order = self.task.order.epoch(epoch, 0, World(), self.device)
            for batch, examples in self.task.batches(order, epoch):
                yield epoch, batch, examples

    def next(self) -> tuple[int, Any, Any]:
        """The epoch, the batch and its examples."""
        return next(self._batches)

    def step(self) -> Tensor:
        """Train one step; its loss."""
        epoch, batch, examples = self.next()
        return self.learner.step(batch, examples, epoch)


def waits(bench: Any, run: dict[str, Any]) -> tuple[bool, Any]:
    """Where the host waits for the device inside a step, by torch's own debug mode."""
    if bench.device.type != "cuda":
        return True, "a CPU has nothing to wait for"
    steps, latest = Steps(run, bench.root, bench.device), Latest(bench.device)
    for _ in range(3):
        latest.offer(steps.step())
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        for _ in range(3):
            latest.offer(steps.step())
        torch.cuda.set_sync_debug_mode("default")
    places = (f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message))
    found = collections.Counter(places)
    return not found, dict(found) or "none"


def trained(run: dict[str, Any], root: Path, device: torch.device, *stops: int) -> tuple[Any, ...]:
    """Train to the end, asked to stop at these looks: weights, history, scores and how often it was stopped."""
    state, stopped = None, 0
    for stop in (*stops, None):
        host = Kept(state, stop)
        trainer: Trainer = engine.trainer(run, root, device, World(), 0, host)  # type: ignore[arg-type]
        try:
            final = trainer.train()
        except Interrupted:
            state, stopped = host.state, stopped + 1
            continue
        weights = {name: value.detach().cpu() for name, value in trainer.learner.weights().items()}
        rows = [{k: v for k, v in row.items() if "second" not in k} for row in trainer.history]
        return weights, rows, final.metrics, stopped
    raise AssertionError("stopped to the end")


def resumed(bench: Any, run: dict[str, Any]) -> tuple[bool, str]:
    """Twice undisturbed and once stopped and gone on with. What no setting promises is only reported."""
    if bench.quick:
        run = {**run, **(QUICK_IMAGES if "image_size" in run else QUICK_SERIES)}
    whole, again = (trained(run, bench.root, bench.device) for _ in range(2))
    stopped = trained(run, bench.root, bench.device, 2, 2)
    (twice, far), (repeated, resumed_far) = differs(whole, again), differs(whole, stopped)
    ok = (twice and repeated) if run["deterministic"] else resumed_far <= max(10 * far, 1e-5)
    note = f"twice the same bits: {twice} ({far:.1e}); stopped {stopped[3]} times"
    return ok and stopped[3] == 2, f"{note}, the same: {repeated} ({resumed_far:.1e})"


def differs(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[bool, float]:
    """Whether all is equal to the bit, and how far the farthest weight is, relatively."""
    same = all(torch.equal(value, other[0][name]) for name, value in one[0].items())
    norms = [
        float((value - other[0][name]).double().norm() / value.double().norm().clamp(min=1e-12))
        for name, value in one[0].items()
        if value.is_floating_point()
    ]
    return same and one[1:3] == other[1:3], max(norms)


def elsewhere(bench: Any) -> tuple[bool, str]:
    """Stopped on the device, finished on the CPU."""
    run = made_up.images(**{**SMALL_IMAGES, **QUICK_IMAGES})
    host = Kept(stop_at=2)
    trainer: Trainer = engine.trainer(run, bench.root, bench.device, World(), 0, host)  # type: ignore[arg-type]
    try:
        trainer.train()
        return False, "it did not stop"
    except Interrupted:
        pass
    cpu = torch.device("cpu")
    continued: Trainer = engine.trainer(run, bench.root, cpu, World(), 0, Kept(host.state))  # type: ignore[arg-type]
    loss = continued.train().metrics["loss"]
    return loss > 0 and continued.epoch == 2, f"loss {loss:.4f}"


def diverges(bench: Any, precision: str) -> tuple[bool, str]:
    """A learning rate that no weight survives."""
    small = {"epochs": 1, "limit_train": 256, "limit_test": 8, "batch_size": 32, "image_size": 32}
    run = made_up.images(**small, lr=1e30, precision=precision)
    try:
        trained(run, bench.root, bench.device)
        return False, "it finished"
    except Diverged as error:
        return True, f"at step {error.step}"
