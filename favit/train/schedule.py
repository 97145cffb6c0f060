"""The learning rate of each epoch, a pure function: nothing to save, nothing to resume."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def learning_rate(run: Mapping[str, Any], epoch: int) -> float:
    """Learning rate of ``epoch`` (from 0).

    ``warmup_cosine``: ``lr (e+1)/warmup`` in the warm-up, then half a cosine
    from ``lr`` down to ``min_lr``, reached where the last ``cooldown_epochs``
    begin, which stay there. ``halving``: ``lr`` in the first two epochs, halved
    in each later one (Informer's "type1"). ``constant``: ``lr``.

    With ``lr_batch`` all of them are multiplied by batch size / ``lr_batch``
    (Goyal et al. 2017, arXiv 1706.02677, section 2.1).
    """
    return _unscaled(run, epoch) * (run["batch_size"] / run["lr_batch"] if run.get("lr_batch") else 1.0)


def _unscaled(run: Mapping[str, Any], epoch: int) -> float:
    lr = float(run["lr"])
    if run["schedule"] == "constant":
        return lr
    if run["schedule"] == "halving":
        return lr * 0.5 ** max(epoch - 1, 0)
    warmup, end = run["warmup_epochs"], run["epochs"] - run["cooldown_epochs"]
    if epoch < warmup:
        return lr * (epoch + 1) / warmup
    if epoch >= end:
        return float(run["min_lr"])
    progress = (epoch - warmup) / (end - warmup)
    return run["min_lr"] + (lr - run["min_lr"]) * 0.5 * (1 + math.cos(math.pi * progress))
