"""A model and all that changes when it takes a step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from favit.train import accumulate, distributed, optimizer, recompute, seeds
from favit.train.distributed import World
from favit.train.ema import WeightAverage
from favit.train.numerics import AUTOCAST
from favit.train.order import Batch
from favit.train.settings import Optimisation
from favit.train.task import Check, Model, Task

Score = TypeVar("Score")


class Learner:
    """A model in training: takes steps, scores, and saves and restores its state.

    Generator states are no part of that: every draw follows from the run's seed and the step.
    """

    def __init__(self, task: Task, chosen: Optimisation, device: torch.device, world: World) -> None:
        self._task, self._chosen, self._device, self._world = task, chosen, device, world
        self._optimizer = optimizer.build(task.model, chosen)
        self._scaler = torch.amp.GradScaler(device.type, enabled=chosen.precision == "float16")
        self._average = WeightAverage(task.model, chosen.ema) if chosen.ema else None
        if chosen.activation_checkpointing:
            recompute.activations(task.model)
        self._forward = self._compiled(distributed.wrap(task.model, world, device))
        self._scored = self._compiled(self.scored_model)
        self._samplers: list[Any] = [m for m in task.model.modules() if hasattr(m, "resample")]

    @property
    def scored_model(self) -> nn.Module:
        """The model whose scores count: the averaged one where there is one."""
        return self._average.model if self._average else self._task.model

    def begin_epoch(self, lr: float) -> None:
        """Train on at this learning rate."""
        optimizer.set_learning_rate(self._optimizer, lr)
        self._task.model.train()

    def step(self, batch: Batch, examples: Any, epoch: int, at_once: int | None = None) -> Tensor:
        """One step; returns its loss () of this process's share, on the device.

        ``at_once`` examples go through the model at a time, ``None`` for as many as the run says.
        """
        seed, where = self._chosen.seed, (epoch, batch.step)
        if self._samplers:
            sampling = seeds.generator(seed, "sample", *where)
            for module in self._samplers:
                module.resample(sampling)
        size = self._chosen.micro_batch_size if at_once is None else at_once
        parts = accumulate.parts(len(batch.weights), size)
        loss = self._gradients(batch, examples, parts, (*where, self._world.rank))
        if self._chosen.clip_grad:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._task.model.parameters(), self._chosen.clip_grad)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average:
            self._average.update()
        return loss

    def _gradients(self, batch: Batch, examples: Any, parts: list[slice], where: tuple[int, ...]) -> Tensor:
        """Compute them, of one part after the other; returns the loss ()."""
        if len(parts) == 1:
            self._seed_forward(where)
            return self._add_gradients(batch.weights, examples)
        losses = []
        for part in parts:
            self._seed_forward(where)  # alike for all parts, whose draws are rows of the same
            with ExitStack() as stack:
                if part is not parts[-1]:
                    stack.enter_context(accumulate.without_exchange(self._forward))
                stack.enter_context(accumulate.as_of_the_whole(part, len(batch.weights)))
                losses.append(self._add_gradients(batch.weights[part], accumulate.some_of(examples, part)))
        return torch.stack(losses).sum()

    def _seed_forward(self, where: tuple[int, ...]) -> None:
        seed = self._chosen.seed
        seeds.seed_forward(seed, "forward", *where, device=self._device)

    def _add_gradients(self, weights: Tensor, examples: Any) -> Tensor:
        with self._autocast():
            loss = (self._task.losses(self._forward, examples) * weights).sum()
        self._scaler.scale(loss).backward()
        return loss.detach()

    def score(self, scoring: Callable[[Model, Check], Score], check: Check) -> Score:
        """What ``scoring`` makes of the model's outputs; ``check`` is called between its batches."""
        distributed.share_buffers(self.scored_model, self._world)
        self._scored.eval()
        return scoring(self._outputs, check)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the scored model's state."""
        return {name: value.clone() for name, value in self.scored_model.state_dict().items()}

    def use(self, weights: dict[str, Tensor]) -> None:
        """Give the scored model these weights."""
        self.scored_model.load_state_dict(weights)

    def state(self) -> dict[str, Any]:
        """Model, optimizer, scaler and average."""
        return {
            "model": self._task.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average.model.state_dict() if self._average else {},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self._task.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average:
            self._average.model.load_state_dict(state["average"])

    def _outputs(self, *inputs: Tensor) -> Tensor:
        with self._autocast():  # of the model alone: what prepares its input keeps its precision
            outputs: Tensor = self._scored(*inputs)
            return outputs

    def _autocast(self) -> torch.autocast:
        dtype = AUTOCAST.get(self._chosen.precision)
        return torch.autocast(self._device.type, dtype, enabled=dtype is not None)

    def _compiled(self, model: nn.Module) -> nn.Module:
        return torch.compile(model) if self._chosen.compile else model  # type: ignore[return-value]
