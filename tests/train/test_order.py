"""Which examples a step sees, alone and among several processes."""

from __future__ import annotations

import functools
import operator

import pytest
import torch

from favit.train.distributed import World
from favit.train.order import Order

CPU = torch.device("cpu")


def indices(order: Order, epoch: int = 0, first: int = 0, world: World | None = None) -> list[list[int]]:
    return [batch.indices.tolist() for batch in order.epoch(epoch, first, world or World(), CPU)]


@pytest.mark.parametrize(("examples", "steps"), [(10, 2), (8, 2), (11, 2), (12, 3), (3, 1), (4, 1)])
def test_an_incomplete_batch_is_left_out_unless_it_is_all(examples: int, steps: int) -> None:
    order = Order(examples, 4, drop_last=True, seed=0)
    batches = indices(order)
    assert len(batches) == order.steps == steps
    seen = functools.reduce(operator.iadd, batches, [])
    assert len(seen) == len(set(seen)) == order.examples_an_epoch == min(examples, 4 * steps)


@pytest.mark.parametrize("examples", [1, 3, 4, 9, 12])
def test_or_nothing_is_left_out(examples: int) -> None:
    order = Order(examples, 4, drop_last=False, seed=0)
    assert sorted(functools.reduce(operator.iadd, indices(order), [])) == list(range(examples))
    assert order.examples_an_epoch == examples
    torch.testing.assert_close(order.step_weights.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_epochs_and_seeds_differ_and_repeat() -> None:
    order = Order(100, 10, drop_last=True, seed=0)
    assert indices(order, 0) == indices(order, 0)
    assert indices(order, 0) != indices(order, 1)
    assert indices(order, 0) != indices(Order(100, 10, drop_last=True, seed=1), 0)


def test_what_an_epoch_leaves_out_differs_from_epoch_to_epoch() -> None:
    order = Order(11, 4, drop_last=True, seed=0)
    left_out = [
        set(range(11)) - set(functools.reduce(operator.iadd, indices(order, e), [])) for e in range(40)
    ]
    assert set.union(*left_out) == set(range(11))


def test_going_on_in_the_middle() -> None:
    order = Order(50, 4, drop_last=False, seed=3)
    assert indices(order, 2, first=5) == indices(order, 2)[5:]
    assert [b.step for b in order.epoch(2, 5, World(), CPU)] == list(range(5, 13))


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("examples", [16, 17, 18, 13])
def test_processes_share_each_batch(size: int, examples: int) -> None:
    """Together they see each example once with the weight that makes a mean of sums the batch's mean."""
    order = Order(examples, 8, drop_last=False, seed=0)
    whole = indices(order)
    shares = [list(order.epoch(0, 0, World(rank, size), CPU)) for rank in range(size)]
    for step, together in enumerate(zip(*shares, strict=True)):
        assert len({len(share.indices) for share in together}) == 1, (
            "all processes take equally shaped batches"
        )
        weights = dict.fromkeys(whole[step], 0.0)
        for share in together:
            for index, weight in zip(share.indices.tolist(), share.weights.tolist(), strict=True):
                weights[index] += weight / size  # gradients are averaged over the processes
        assert list(weights.values()) == pytest.approx([1 / len(whole[step])] * len(whole[step]))


def repeated(examples: int, epoch: int, seed: int, processes: int, batch: int) -> list[list[list[int]]]:
    """DeiT's sampler in loops: for each process its batches; an epoch's order is ours."""
    shuffled = indices(Order(examples, examples, drop_last=False, seed=seed), epoch)[0]
    thrice = [index for index in shuffled for _ in range(3)]
    each, share = batch // processes, examples // 256 * 256 // processes
    of_each = [thrice[rank::processes][:share] for rank in range(processes)]
    return [[own[i : i + each] for i in range(0, share - each + 1, each)] for own in of_each]


@pytest.mark.parametrize(
    ("examples", "processes", "batch"), [(600, 1, 64), (600, 2, 16), (1000, 4, 64), (512, 8, 32)]
)
def test_repeated_augmentation_is_deit_s(examples: int, processes: int, batch: int) -> None:
    order = Order(examples, batch, drop_last=True, seed=7, repeats=3)
    for epoch in (0, 5):
        ours = [indices(order, epoch, world=World(rank, processes)) for rank in range(processes)]
        assert ours == repeated(examples, epoch, 7, processes, batch)
    seen = functools.reduce(operator.iadd, indices(order), [])
    assert order.steps == examples // 256 * 256 // batch and len(seen) == order.examples_an_epoch
    assert len(seen) / 3 <= len(set(seen)) < len(seen) / 3 + 2


def test_repeats_of_few_examples_and_with_the_last_batch() -> None:
    few = Order(10, 4, drop_last=True, seed=0, repeats=3)
    assert few.steps == 2 and len(set(functools.reduce(operator.iadd, indices(few), []))) == 3
    rest = Order(520, 100, drop_last=False, seed=0, repeats=2)
    assert rest.steps == 6 and [len(batch) for batch in indices(rest)] == [100] * 5 + [12]
    torch.testing.assert_close(rest.step_weights[-1].item(), 12 / 512)
    assert indices(rest, 1, first=3) == indices(rest, 1)[3:]
