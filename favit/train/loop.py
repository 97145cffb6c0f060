"""The training loop: steps, epochs, checkpoints, and an end that is always one of a few."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

from favit.train import checkpoint, distributed, schedule
from favit.train.distributed import World
from favit.train.host import Host, Row, TrainerState
from favit.train.latest import Latest
from favit.train.learner import Learner
from favit.train.settings import Optimisation
from favit.train.task import FinalScores, Task


class Interrupted(Exception):
    """Training was asked to stop and has saved where it was: ``position`` steps of the run are behind it."""

    def __init__(self, reason: str | None, position: int) -> None:
        super().__init__(reason, position)
        self.reason, self.position = reason, position


class Diverged(Exception):
    """A loss was not finite; ``step`` counts from 1 over the whole run."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Trainer:
    """Trains one task; every number of it follows from the run and the step."""

    def __init__(
        self, task: Task, chosen: Optimisation, device: torch.device, world: World, host: Host
    ) -> None:
        self.task, self.device, self.world = task, device, world
        self.learner = Learner(task, chosen, device, world)
        self._chosen, self._host = chosen, host
        self._agreement = distributed.Agreement(world)
        self._latest = Latest(device)
        self.epoch, self.step = 0, 0  # where the next step stands
        self._losses = torch.zeros(task.order.steps, device=device)  # of this epoch, this process's share
        self.history: list[Row] = []
        self.best: dict[str, Any] = {}
        self._best_weights: dict[str, Tensor] = {}
        self._epoch_seconds = 0.0  # of training in this epoch, over all lives
        self._compiles = chosen.compile  # in the next step, the first of this life
        self._compile_seconds = 0.0  # of this epoch's first step, where it compiled

    def train(self) -> FinalScores:
        """Train to the end and score, going on from what the host has kept.

        Raises ``Interrupted`` or ``Diverged`` where it does not come to that, and what the host raises.
        """
        self._resume()
        while self.epoch < self._chosen.epochs and not self._patience_is_spent():
            self._train_epoch()
            self._close_epoch(self.learner.score(self.task.evaluate, self._stop_if_asked))
        if self.task.selection.decides:
            self.learner.use(self._best_weights)
        return self.learner.score(self.task.finish, self._stop_if_asked)

    def _train_epoch(self) -> None:
        order = self.task.order
        self.learner.begin_epoch(schedule.learning_rate(self._chosen, self.epoch))
        self._host.epoch_begins(self.epoch, self._chosen.epochs, order.steps, self.step)
        batches = order.epoch(self.epoch, self.step, self.world, self.device)
        began, before = time.monotonic(), self._epoch_seconds
        for batch, examples in self.task.batches(batches, self.epoch):
            begun = time.monotonic()
            loss = self.learner.step(batch, examples, self.epoch)
            if self._compiles:
                self._compiles, self._compile_seconds = False, time.monotonic() - begun
                began += self._compile_seconds
            self._losses[batch.step] = loss
            self.step = batch.step + 1
            self._epoch_seconds = before + time.monotonic() - began
            latest = self._latest.offer(loss)
            self._host.step_ends(latest)
            self._stop_if_asked(latest is not None and not math.isfinite(latest))
        self._mean_loss()  # waits for the device, so that the time is that of the work
        self._epoch_seconds = before + time.monotonic() - began
        self._host.steps_end()

    def _close_epoch(self, metrics: dict[str, float]) -> None:
        loss, scored = self._mean_loss(), self.task.selection.on
        if not all(map(math.isfinite, metrics.values())):
            raise Diverged(self._position())
        row = {
            "epoch": self.epoch + 1,
            "train_loss": loss,
            "lr": schedule.learning_rate(self._chosen, self.epoch),
            **{f"{scored}_{name}": value for name, value in metrics.items()},
            "seconds": round(self._epoch_seconds, 3),
            "examples_per_second": round(self.task.order.examples_an_epoch / self._epoch_seconds, 1),
            **self._host.measured(),
        }
        if self._chosen.compile:
            row["compile_seconds"] = round(self._compile_seconds, 3)
        self.history.append(row)
        self._note_best(metrics)
        self.epoch, self.step, self._epoch_seconds, self._compile_seconds = self.epoch + 1, 0, 0.0, 0.0
        self._save()
        self._host.epoch_ends(row, scored, self._chosen.epochs, self.task.unit)

    def _mean_loss(self) -> float:
        """Mean training loss of the epoch over all processes; raises ``Diverged`` if a step's was not finite."""
        losses = distributed.gather(self._losses, self.world).double().mean(0).cpu()
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
            self._best_weights = self.learner.weights()

    def _patience_is_spent(self) -> bool:
        patience = self.task.selection.patience
        return bool(patience and self.best) and self.epoch - self.best["epoch"] >= patience

    def _stop_if_asked(self, diverged: bool = False) -> None:
        """At the same step on all processes: save and raise if one of them was asked to stop."""
        reason = self._host.stop_reason()
        if not self._agreement.stop(reason is not None or diverged):
            return
        self._agreement.settle()
        self._mean_loss()  # raises where divergence is the reason
        self._save()
        raise Interrupted(reason, self._position())

    def _position(self) -> int:
        """Steps of the run that are behind it."""
        return self.epoch * self.task.order.steps + self.step

    def _save(self) -> None:
        """Every process takes part, the first one's host writes."""
        losses = distributed.gather(self._losses, self.world)
        if self.world.first:
            self._host.save(self._position(), checkpoint.pack(self._state(losses)), self.history)

    def _state(self, losses: Tensor) -> TrainerState:
        """Everything that the rest of the run depends on."""
        return {
            **self.learner.state(),
            "epoch": self.epoch,
            "step": self.step,
            "losses": losses,
            "history": self.history,
            "best": self.best,
            "best_weights": self._best_weights,
            "epoch_seconds": self._epoch_seconds,
        }

    def _resume(self) -> None:
        kept = self._host.load() if self.world.first else None
        state = distributed.broadcast_object(None if kept is None else checkpoint.unpack(kept), self.world)
        if state is None:
            return
        self.learner.restore(state)
        self.epoch, self.step = state["epoch"], state["step"]
        losses = state["losses"]
        # From another number of processes training goes on, but not with the numbers of an uninterrupted run.
        same = len(losses) == self.world.size
        self._losses.copy_(losses[self.world.rank] if same else losses.mean(0))
        self.history, self.best = state["history"], state["best"]
        self._best_weights = {name: value.to(self.device) for name, value in state["best_weights"].items()}
        self._epoch_seconds = state["epoch_seconds"]
        self._host.resumed(self.epoch, self.step, self.task.order.steps, (len(losses), self.world.size))
