"""The message about a step that does not fit into memory: how many examples at a time would."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import torch

from favit.train.loop import Trainer

_CPU = ("can't allocate memory", "not enough memory")  # of torch's allocator


def ran_out(error: RuntimeError) -> bool:
    """Whether this is the device's memory, or the machine's, that is used up."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _CPU)


def advice(trainer: Trainer, run: Mapping[str, Any]) -> str:
    """A line that names the largest ``micro_batch_size`` that fits, tried with steps of training.

    The trainer cannot go on afterwards. Several processes try nothing: each would wait for the others.
    """
    size = trainer.task.order.batch_size
    share = -(-size // trainer.world.size)
    at_once = min(share, run["micro_batch_size"] or share)
    lacks = f"out of memory on {trainer.device.type} with batch_size {size}"
    if at_once < size:
        lacks += f", {at_once} at a time on each process"
    if run["compile"]:
        return f"{lacks}; reduce it, set activation_checkpointing: true, or set micro_batch_size and compile: false"
    if trainer.world.size > 1:
        return f"{lacks}; set micro_batch_size to {max(1, at_once // 2)} or less, or activation_checkpointing: true"
    if _fits(trainer, at_once):
        return f"{lacks}; a training step by itself fits, so scoring may be what needs more"
    fits = largest(lambda n: _fits(trainer, n), at_once)
    if not fits:
        return (
            f"{lacks}; not even one example fits; set activation_checkpointing: true or take a smaller model"
        )
    return f"{lacks}; the largest micro_batch_size that fits is {fits}"


def largest(fits: Callable[[int], bool], size: int) -> int:
    """The largest number below ``size`` that fits, by bisection; 0 if none does."""
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _fits(trainer: Trainer, at_once: int) -> bool:
    """Whether a step of so many examples at a time fits."""
    trainer.task.model.zero_grad(set_to_none=True)
    gc.collect()
    if trainer.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        # The first step of an epoch is of a whole batch.
        batches = trainer.task.order.epoch(trainer.epoch, 0, trainer.world, trainer.device)
        for batch, examples in trainer.task.batches(batches, trainer.epoch):
            trainer.task.model.train()
            trainer.learner.step(batch, examples, trainer.epoch, at_once)
            return True
    except RuntimeError as error:
        if not ran_out(error):
            raise
    return False
