"""The learning rate of each epoch, a pure function: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from favit.train.settings import Optimisation


def learning_rate(chosen: Optimisation, epoch: int) -> float:
    """Learning rate of ``epoch`` (from 0).

    ``warmup_cosine``: ``lr (e+1)/warmup`` in the warm-up, then half a cosine
    from ``lr`` down to ``min_lr``, reached where the last ``cooldown_epochs``
    begin, which stay there. ``halving``: ``lr`` in the first two epochs, halved
    in each later one (Informer's "type1"). ``constant``: ``lr``.

    With ``lr_batch`` all of them are multiplied by batch size / ``lr_batch``
    (Goyal et al. 2017, arXiv 1706.02677, section 2.1).
    """
    return _unscaled(chosen, epoch) * (chosen.batch_size / chosen.lr_batch if chosen.lr_batch else 1.0)


def _unscaled(chosen: Optimisation, epoch: int) -> float:
    lr = chosen.lr
    if chosen.schedule == "constant":
        return lr
    if chosen.schedule == "halving":
        return lr * 0.5 ** max(epoch - 1, 0)
    warmup, end = chosen.warmup_epochs, chosen.epochs - chosen.cooldown_epochs
    if epoch < warmup:
        return lr * (epoch + 1) / warmup
    if epoch >= end:
        return chosen.min_lr
    progress = (epoch - warmup) / (end - warmup)
    return chosen.min_lr + (lr - chosen.min_lr) * 0.5 * (1 + math.cos(math.pi * progress))
