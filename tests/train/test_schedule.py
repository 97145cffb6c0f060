"""The learning rate at every epoch of the recipes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch

from favit.train import optimizer, schedule
from favit.train.settings import Optimisation

FAVIT = Optimisation(
    schedule="warmup_cosine", lr=1e-3, epochs=300, warmup_epochs=10, cooldown_epochs=10, min_lr=1e-5
)


@pytest.mark.parametrize("epoch", range(300))
def test_favit(epoch: int) -> None:
    rate = schedule.learning_rate(FAVIT, epoch)
    if epoch < 10:
        assert rate == pytest.approx(1e-3 * (epoch + 1) / 10, rel=1e-12)
    elif epoch >= 290:
        assert rate == 1e-5
    else:
        angle = math.pi * (epoch - 10) / 280
        assert rate == pytest.approx(1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + math.cos(angle)), rel=1e-12)


def test_favit_has_no_jumps() -> None:
    rates = [schedule.learning_rate(FAVIT, e) for e in range(300)]
    assert rates[9] == rates[10] == max(rates) == 1e-3
    falling = rates[10:291]
    assert all(a > b for a, b in itertools.pairwise(falling))
    assert max(abs(a - b) for a, b in itertools.pairwise(falling)) < 6e-6


def test_favit_against_torch() -> None:
    """The falling part is torch's cosine annealing over 280 epochs."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.SGD([parameter], lr=1e-3)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=280, eta_min=1e-5)
    for epoch in range(10, 291):
        assert schedule.learning_rate(FAVIT, epoch) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        theirs.step()
        annealing.step()


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(1, 1e-4), (2, 1e-4), (3, 5e-5), (4, 2.5e-5), (5, 1.25e-5), (6, 6.25e-6), (12, 1e-4 / 1024)],
)
def test_informer(epoch: int, rate: float) -> None:
    """Epochs counted from 1, as the recipe is told."""
    halving = Optimisation(schedule="halving", lr=1e-4)
    assert schedule.learning_rate(halving, epoch - 1) == pytest.approx(rate, rel=1e-12)


def test_constant() -> None:
    constant = Optimisation(schedule="constant", lr=0.1)
    assert {schedule.learning_rate(constant, e) for e in range(50)} == {0.1}


def short(epochs: int, warmup: int, cooldown: int) -> list[float]:
    chosen = replace(FAVIT, epochs=epochs, warmup_epochs=warmup, cooldown_epochs=cooldown)
    return [schedule.learning_rate(chosen, e) for e in range(epochs)]


def test_short_schedules() -> None:
    assert short(1, 0, 0) == [1e-3]
    assert short(2, 1, 0) == [1e-3, 1e-3]
    assert short(2, 2, 0) == pytest.approx([5e-4, 1e-3])
    assert short(4, 1, 1) == pytest.approx([1e-3, 1e-3, 5.05e-4, 1e-5])
    assert short(3, 0, 0) == pytest.approx([1e-3, 7.525e-4, 2.575e-4])


class Small(torch.nn.Module):
    """Every kind of parameter that decay tells apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.LayerNorm(4)
        self.linear, self.position = torch.nn.Linear(4, 2), torch.nn.Parameter(torch.ones(5, 4))
        self.frozen = torch.nn.Parameter(torch.ones(3, 3), requires_grad=False)

    def no_weight_decay(self) -> set[str]:
        return {"position"}


def test_what_is_decayed() -> None:
    assert {name for name, decay in optimizer.decayed(Small()).items() if decay} == {
        "conv.weight",
        "linear.weight",
    }


@pytest.mark.parametrize(("kind", "theirs"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
@pytest.mark.parametrize("fused", [True, False])
def test_the_optimizer_is_torchs(kind: Literal["adam", "adamw"], theirs: Any, fused: bool) -> None:
    """Ten steps against the plain one, a group a parameter."""
    torch.manual_seed(0)
    ours, reference = Small(), Small()
    reference.load_state_dict(ours.state_dict())
    wanted = Optimisation(optimizer=kind, lr=1e-2, weight_decay=0.1, fused=fused)
    mine = optimizer.build(ours, wanted)
    optimizer.set_learning_rate(mine, 5e-3)
    decayed = {"conv.weight", "linear.weight"}
    groups = [
        {"params": [p], "weight_decay": 0.1 if n in decayed else 0.0}
        for n, p in reference.named_parameters()
        if p.requires_grad
    ]
    plain = theirs(groups, lr=5e-3, foreach=False)
    for step in range(10):
        for model, chosen in ((ours, mine), (reference, plain)):
            chosen.zero_grad()
            generator = torch.Generator().manual_seed(step)
            for p in model.parameters():
                p.grad = torch.randn(p.shape, generator=generator)
            chosen.step()
    for (name, a), b in zip(ours.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    assert torch.equal(ours.frozen, torch.ones(3, 3))


@pytest.mark.parametrize("kind", ["warmup_cosine", "deit_cosine", "halving", "constant"])
@pytest.mark.parametrize(("lr_batch", "factor"), [(1024, 1), (256, 4)])
def test_the_rate_follows_the_batch_size_where_the_recipe_names_one(
    kind: Any, lr_batch: int, factor: int
) -> None:
    """``lr`` does; rates that are given by themselves do not."""
    named = replace(
        FAVIT, schedule=kind, batch_size=1024, lr_batch=lr_batch, warmup_lr=1e-6, cooldown_lr=2e-6
    )
    plain = replace(named, lr_batch=0, lr=factor * named.lr)
    for epoch in range(300):
        assert schedule.learning_rate(named, epoch) == schedule.learning_rate(plain, epoch)


def test_a_warm_up_from_a_rate_of_its_own_and_a_cool_down_to_one() -> None:
    chosen = replace(
        FAVIT, epochs=9, warmup_epochs=4, warmup_lr=2e-4, cooldown_epochs=3, cooldown_lr=5e-5, min_lr=0.0
    )
    rates = [schedule.learning_rate(chosen, epoch) for epoch in range(9)]
    assert rates == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 5e-4, 0.0, 5e-5, 5e-5])


@pytest.mark.parametrize("warmup", [0, 1, 3])
def test_deit_trains_each_epoch_at_the_rate_before_it(warmup: int) -> None:
    """The schedule by loops: where it stands before an epoch, and it is advanced after each."""
    chosen = replace(FAVIT, schedule="deit_cosine", epochs=8, warmup_epochs=warmup, warmup_lr=1e-6)
    now = 1e-6 if warmup else 1e-3
    for epoch in range(8):
        assert schedule.learning_rate(chosen, epoch) == pytest.approx(now, rel=1e-12)
        falling = 1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * epoch / 8)) / 2
        now = 1e-6 + epoch * (1e-3 - 1e-6) / warmup if epoch < warmup else falling


def test_all_is_decayed_where_the_recipe_says_so() -> None:
    small = Small()
    built = optimizer.build(small, Optimisation(weight_decay=0.1, decay_all=True))
    (group,) = built.param_groups
    assert group["weight_decay"] == 0.1
    assert {id(p) for p in group["params"]} == {id(p) for p in small.parameters() if p.requires_grad}
