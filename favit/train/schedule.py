"""The learning rate of each epoch, a pure function: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from favit.train.settings import Optimisation


def learning_rate(chosen: Optimisation, epoch: int) -> float:
    """Learning rate of ``epoch`` (from 0).

    ``warmup_cosine``: ``lr (e+1)/warmup`` in the warm-up, or equal steps from ``warmup_lr`` to ``lr`` after it;
    then half a cosine from ``lr`` down to ``min_lr``, reached where the last ``cooldown_epochs`` begin, which go
    on with ``cooldown_lr``. ``deit_cosine``: the rates of DeiT's program (Touvron et al. 2021, arXiv 2012.12877),
    from which PVT's and FaViT's are made: half a cosine over all epochs, whose beginning the warm-up replaces, and
    each epoch trained at the rate of the one before, because the schedule is advanced after it. ``halving``:
    ``lr`` in the first two epochs, halved in each later one (Informer's "type1"). ``constant``: ``lr``.

    With ``lr_batch``, ``lr`` is meant for that batch size and grows with it (Goyal et al. 2017, arXiv 1706.02677,
    section 2.1); rates that are given by themselves, as ``min_lr``, do not, as in DeiT's program.
    """
    lr = chosen.lr * (chosen.batch_size / chosen.lr_batch if chosen.lr_batch else 1.0)
    if chosen.schedule == "constant":
        return lr
    if chosen.schedule == "halving":
        return lr * 0.5 ** max(epoch - 1, 0)
    if chosen.schedule == "deit_cosine":
        before = max(epoch - 1, 0)
        return (
            _warming_up(chosen, lr, before)
            if before < chosen.warmup_epochs
            else _deit_cosine(chosen, lr, before)
        )
    return _warmup_cosine(chosen, lr, epoch)


def _warmup_cosine(chosen: Optimisation, lr: float, epoch: int) -> float:
    warmup, end = chosen.warmup_epochs, chosen.epochs - chosen.cooldown_epochs
    if epoch < warmup:
        return _warming_up(chosen, lr, epoch)
    if epoch > end or end == warmup:
        return chosen.min_lr if chosen.cooldown_lr < 0 else chosen.cooldown_lr
    return _cosine(chosen.min_lr, lr, (epoch - warmup) / (end - warmup))


def _deit_cosine(chosen: Optimisation, lr: float, epoch: int) -> float:
    return _cosine(chosen.min_lr, lr, epoch / chosen.epochs)


def _warming_up(chosen: Optimisation, lr: float, epoch: int) -> float:
    if chosen.warmup_lr < 0:
        return lr * (epoch + 1) / chosen.warmup_epochs
    return chosen.warmup_lr + (lr - chosen.warmup_lr) * epoch / chosen.warmup_epochs


def _cosine(low: float, high: float, progress: float) -> float:
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * progress))
