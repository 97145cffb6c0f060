"""The training loop: steps, epochs, checkpoints, and an end that is always one of a few."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from favit.files import write_atomic
from favit.train import checkpoint, distributed, optimizer, record, schedule, seeds
from favit.train.distributed import World
from favit.train.ema import WeightAverage
from favit.train.lease import Lease
from favit.train.order import Batch
from favit.train.progress import Latest, Reporter, epoch_line
from favit.train.signals import StopRequest
from favit.train.task import Check, Model, Result, Task

_PRECISION = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Interrupted(Exception):
    """Training was asked to stop and has saved where it was."""


class Diverged(Exception):
    """A loss was not finite; ``step`` counts from 1 over the whole run."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss of step {step} is not finite")
        self.step = step


class Trainer:
    """Trains one task in one folder; every number of it follows from the run and the step."""

    def __init__(
        self,
        task: Task,
        run: Mapping[str, Any],
        fingerprint: str,
        folder: Path,
        device: torch.device,
        world: World,
        stop: StopRequest,
        lease: Lease | None,
        reporter: Reporter,
    ) -> None:
        self.task, self.run, self.fingerprint, self.folder = task, run, fingerprint, folder
        self.device, self.world, self.stop, self.lease, self.reporter = device, world, stop, lease, reporter
        self.optimizer = optimizer.build(task.model, run)
        self.scaler = torch.amp.GradScaler(device.type, enabled=run["precision"] == "float16")
        self.average = WeightAverage(task.model, run["ema"]) if run["ema"] else None
        self._forward = _compiled(distributed.wrap(task.model, world, device), run)
        self._scored = _compiled(self.average.model if self.average else task.model, run)
        self._samplers: list[Any] = [m for m in task.model.modules() if hasattr(m, "resample")]
        self._agreement = distributed.Agreement(world)
        self._latest = Latest(device)
        self.epoch, self.step = 0, 0  # where the next step stands
        self.losses = torch.zeros(
            task.order.steps, device=device
        )  # of this epoch's steps, this process's share
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {}
        self.best_weights: dict[str, Tensor] = {}
        self.epoch_seconds = 0.0  # of training in this epoch, over all lives
        self._earlier_seconds = 0.0  # of the run before this life
        self.started = datetime.now(UTC).isoformat(timespec="seconds")  # of its first life
        self._born = time.monotonic()

    # -- the run ---------------------------------------------------------------------------------

    def train(self) -> Result:
        """Train to the end and score; raises ``Interrupted``, ``Fenced`` or ``Diverged`` otherwise."""
        while self.epoch < self.run["epochs"] and not self._patience_is_spent():
            self._train_epoch()
            self._close_epoch(self._evaluate())
        if self.task.selection.decides:
            self._weights_in_use().load_state_dict(self.best_weights)
        return self._while_scoring(self.task.finish)

    @property
    def seconds(self) -> float:
        """Wall time of the run over all its lives."""
        return self._earlier_seconds + time.monotonic() - self._born

    def _train_epoch(self) -> None:
        order, run = self.task.order, self.run
        optimizer.set_learning_rate(self.optimizer, schedule.learning_rate(run, self.epoch))
        self.task.model.train()
        self.reporter.begin_epoch(self.epoch, run["epochs"], order.steps, self.step)
        batches = order.epoch(self.epoch, self.step, self.world, self.device)
        began, before = time.monotonic(), self.epoch_seconds
        for batch, examples in self.task.batches(batches, self.epoch):
            loss = self._train_step(batch, examples)
            self.step = batch.step + 1
            self.epoch_seconds = before + time.monotonic() - began
            latest = self._latest.offer(loss)
            self.reporter.step(latest)
            self._stop_if_asked(latest is not None and not math.isfinite(latest))
        self._mean_loss()  # waits for the device, so that the time is that of the work
        self.epoch_seconds = before + time.monotonic() - began
        self.reporter.end_epoch()

    def _train_step(self, batch: Batch, examples: Any) -> Tensor:
        seed, where = self.run["seed"], (self.epoch, batch.step)
        if self._samplers:
            sampling = seeds.generator(seed, "sample", *where)
            for module in self._samplers:
                module.resample(sampling)
        seeds.seed_forward(seed, "forward", *where, self.world.rank)
        with self._autocast():
            loss = (self.task.losses(self._forward, examples) * batch.weights).sum()
        self.scaler.scale(loss).backward()
        if self.run["clip_grad"]:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.task.model.parameters(), self.run["clip_grad"])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update()
        self.losses[batch.step] = loss.detach()
        return loss.detach()

    def _evaluate(self) -> dict[str, float]:
        return self._while_scoring(self.task.evaluate)

    def _while_scoring(self, score: Callable[[Model, Check], Any]) -> Any:
        distributed.share_buffers(self._weights_in_use(), self.world)
        self._scored.eval()
        return score(self._score_examples, self._stop_if_asked)

    def _score_examples(self, *inputs: Tensor) -> Tensor:
        with self._autocast():  # of the model alone: what prepares its input keeps its precision
            return self._scored(*inputs)

    def _close_epoch(self, metrics: dict[str, float]) -> None:
        loss = self._mean_loss()
        if not all(map(math.isfinite, metrics.values())):
            raise Diverged(self._position())
        examples = self.task.order.examples_an_epoch
        row = {
            "epoch": self.epoch + 1,
            "train_loss": loss,
            "lr": schedule.learning_rate(self.run, self.epoch),
            **{f"{self.task.selection.on}_{name}": value for name, value in metrics.items()},
            "seconds": round(self.epoch_seconds, 3),
            "examples_per_second": round(examples / self.epoch_seconds, 1),
            "memory_bytes": record.peak_memory(self.device),
        }
        self.history.append(row)
        self._note_best(metrics)
        self.epoch, self.step, self.epoch_seconds = self.epoch + 1, 0, 0.0
        self._save()
        left = self.seconds / self.epoch * (self.run["epochs"] - self.epoch)
        self.reporter.say(epoch_line(row, self.task.selection.on, self.run["epochs"], left, self.task.unit))

    def _mean_loss(self) -> float:
        """Mean training loss of the epoch over all processes; raises ``Diverged`` if a step's was not finite."""
        losses = distributed.gather(self.losses, self.world).double().mean(0).cpu()
        bad = (~losses[: self.step].isfinite()).nonzero()
        if len(bad):
            raise Diverged(self._position() - self.step + int(bad[0]) + 1)
        return float((losses * self.task.order.step_weights).sum())

    def _note_best(self, metrics: dict[str, float]) -> None:
        selection = self.task.selection
        sign = 1 if selection.higher_is_better else -1
        if self.best and sign * metrics[selection.metric] <= sign * self.best[selection.metric]:
            return
        self.best = {"epoch": self.epoch + 1, "selected_on": selection.on, **metrics}
        if selection.decides:
            state = self._weights_in_use().state_dict()
            self.best_weights = {name: value.clone() for name, value in state.items()}

    def _patience_is_spent(self) -> bool:
        patience = self.task.selection.patience
        return bool(patience and self.best and self.epoch - self.best["epoch"] >= patience)

    def _weights_in_use(self) -> nn.Module:
        return self.average.model if self.average else self.task.model

    def _autocast(self) -> torch.autocast:
        precision = self.run["precision"]
        return torch.autocast(self.device.type, _PRECISION.get(precision), enabled=precision in _PRECISION)

    # -- stopping and going on -----------------------------------------------------------------------

    def _stop_if_asked(self, diverged: bool = False) -> None:
        """At the same step on all processes: save and raise if one of them was asked to stop."""
        fenced = self.lease is not None and self.lease.fenced
        if not self._agreement.stop(bool(self.stop.received) or fenced or diverged):
            return
        self._agreement.settle()
        self.reporter.end_epoch()
        self._mean_loss()  # raises where divergence is the reason
        self._save()
        raise Interrupted(
            f"stopped by {self.stop.received or 'another process'} after step {self._position()}"
        )

    def _position(self) -> int:
        """Steps of the run that are behind it."""
        return self.epoch * self.task.order.steps + self.step

    def _save(self) -> None:
        """Write history and a checkpoint; every process takes part, the first one writes."""
        losses = distributed.gather(self.losses, self.world)
        if not self.world.first:
            return
        self.check_lease()
        checkpoint.save(self.folder, self._position(), self.fingerprint, self._state(losses))
        record.write_history(self.folder, self.history)

    def check_lease(self) -> None:
        """Raise ``Fenced`` rather than write where another process is at work by now."""
        if self.lease is not None:
            self.lease.check()

    def save_weights(self, path: Path) -> None:
        """Write the state dict of the model that was scored."""
        buffer = io.BytesIO()
        torch.save(self._weights_in_use().state_dict(), buffer)
        write_atomic(path, buffer.getvalue())

    def _state(self, losses: Tensor) -> dict[str, Any]:
        """Everything that the rest of the run depends on, generator states being a matter of epoch and step."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.model.state_dict() if self.average else {},
            "losses": losses,
            "history": self.history,
            "best": self.best,
            "best_weights": self.best_weights,
            "epoch_seconds": self.epoch_seconds,
            "seconds": self.seconds,
            "started": self.started,
        }

    def resume(self) -> bool:
        """Go on from the newest usable checkpoint; False if there is none."""
        state: Any = None
        if self.world.first:
            state = checkpoint.load(self.folder, self.fingerprint, self.reporter.say)
        state = distributed.broadcast_object(state, self.world)
        if state is None:
            return False
        self.epoch, self.step = state["epoch"], state["step"]
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.model.load_state_dict(state["average"])
        self._restore_losses(state["losses"])
        self.history, self.best = state["history"], state["best"]
        self.best_weights = {name: value.to(self.device) for name, value in state["best_weights"].items()}
        self.epoch_seconds, self._earlier_seconds = state["epoch_seconds"], state["seconds"]
        self.started = state["started"]
        self.reporter.say(f"resumed at epoch {self.epoch + 1}, step {self.step} of {self.task.order.steps}")
        return True

    def _restore_losses(self, losses: Tensor) -> None:
        if len(losses) == self.world.size:
            self.losses.copy_(losses[self.world.rank])
            return
        self.reporter.say(
            f"the checkpoint is from {len(losses)} processes, this is {self.world.size}: going on, "
            "but not with the numbers of an uninterrupted run"
        )
        self.losses.copy_(losses.mean(0))


def _compiled(model: nn.Module, run: Mapping[str, Any]) -> nn.Module:
    return torch.compile(model) if run["compile"] else model  # type: ignore[return-value]
