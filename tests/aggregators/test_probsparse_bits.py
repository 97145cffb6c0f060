"""ProbSparse fusion against its definition written out plainly, to the bit; and what a GPU measures, to rounding."""

import math
from contextlib import nullcontext

import pytest
import torch

from favit.aggregators._voting import kl_attention_uniform, kl_attention_uniform_in_few_launches
from favit.aggregators.probsparse import Aggregator, evenly_spread, sample_size

HEADS, QUERIES = 2, 1100  # more than are measured at once
GRIDS = [(2, 2), (2, 3), (1, 2), (4, 4)]


def inputs(grid, batch, dtype):
    """Samples, queries, key map; the last row of windows repeats the one before, as padding makes it."""
    samples = torch.randn(batch, HEADS, 49, grid[0] * grid[1], 5).to(dtype)
    if grid[0] > 1:
        samples[:, :, :, -grid[1] :] = samples[:, :, :, -2 * grid[1] : -grid[1]].clone()
    key = torch.randn(5, 5).to(dtype), torch.randn(5).to(dtype)
    return samples.requires_grad_(), torch.randn(batch, HEADS, QUERIES, 5).to(dtype), lambda: key, grid


def place(index, grid):
    """By window, then position: where what is counted by row, then column of the map stands."""
    row, column = divmod(index, 7 * grid[1])
    return ((row // 7) * grid[1] + column // 7) * 49 + (row % 7) * 7 + column % 7


def plain(samples, queries, key_map, grid, sample, factor, pool):
    """The definition, each index by its own arithmetic; ``sample`` lists the measured keys by map, None all."""
    wide = torch.promote_types(samples.dtype, torch.float32)
    places = torch.tensor([place(i, grid) for i in range(49 * grid[0] * grid[1])])
    flat_blhc = samples.permute(0, 3, 2, 1, 4).flatten(1, 2)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        x_blhc, q_bhnc = flat_blhc.to(wide), queries.to(wide)
        weight, bias = (part.to(wide) for part in key_map())
        keys = (x_blhc if sample is None else x_blhc[:, places[sample]]) @ weight.T
        measure = divergence(q_bhnc, keys.transpose(1, 2))
        count = min(QUERIES, max(1, factor * math.ceil(math.log(QUERIES))))
        top = measure.topk(count, dim=2).indices
        voters = q_bhnc.gather(2, top[..., None].expand(-1, -1, -1, 5))
        if pool == "mean":
            scores = (x_blhc * (voters.mean(2) @ weight)[:, None]).sum(3)
        else:
            folded, offset = voters @ weight, voters @ bias
            each = [
                (x_blhc * folded[:, :, u][:, None]).sum(3) + offset[:, :, u][:, None] for u in range(count)
            ]
            scores = torch.stack(each).amax(0)
        by_map = scores.transpose(1, 2)[:, :, places]
        chosen = by_map.sort(dim=2, descending=True, stable=True).indices[:, :, :49].sort(dim=2).values
    heads = [
        torch.stack([flat_blhc[b, places[chosen[b, h]], h] for h in range(HEADS)])
        for b in range(len(samples))
    ]
    return torch.stack(heads)


def divergence(q_bhnc, k_bhlc):
    """D_KL(P || U) from centred scores, the largest of a query lowered to 40, for 1024 queries at a time."""
    k = (k_bhlc - k_bhlc.mean(2, keepdim=True)).transpose(2, 3) * 5**-0.5
    parts = []
    for q in q_bhnc.split(1024, dim=2):
        s = q @ k
        s = s - (s.amax(3, keepdim=True) - 40.0).clamp(min=0)
        e = torch.expm1(s)
        parts.append((e * s + s).mean(3) / (1 + e.mean(3)) - torch.log1p(e.mean(3)))
    return torch.cat(parts, dim=2)


CASES = [
    (measure, pool, factor, grid, batch, dtype)
    for grid, batch, dtype in zip(
        GRIDS, (2, 1, 2, 1), (torch.float32, torch.float64, torch.bfloat16, torch.float32), strict=True
    )
    for measure, pool, factor in (("sampled", "mean", 1), ("exact", "mean", 3), ("sampled", "max", 2))
]


@pytest.mark.parametrize(("measure", "pool", "factor", "grid", "batch", "dtype"), CASES)
def test_tokens_and_gradients_are_the_definitions_to_the_bit(measure, pool, factor, grid, batch, dtype):
    count = 49 * grid[0] * grid[1]
    fuse = Aggregator(5, HEADS, count // 49, measure=measure, pool=pool, factor=factor)
    for training in (True, False):
        ours_drawn, theirs_drawn = (torch.Generator().manual_seed(3) for _ in range(2))
        fuse.train(training).resample(ours_drawn)
        drawn = torch.randperm(count, generator=theirs_drawn)[: sample_size(count)]
        assert torch.equal(ours_drawn.get_state(), theirs_drawn.get_state())
        sample = None if measure == "exact" else drawn if training else evenly_spread(count)
        arguments = inputs(grid, batch, dtype)
        half = torch.autocast("cpu", torch.bfloat16) if dtype == torch.bfloat16 else nullcontext()
        with half:
            ours, theirs = fuse(*arguments), plain(*arguments, sample, factor, pool)
        assert torch.equal(ours, theirs)
        direction = torch.randn_like(ours)
        gradients = [torch.autograd.grad(tokens, arguments[0], direction)[0] for tokens in (ours, theirs)]
        assert torch.equal(*gradients)


def test_another_grid_than_the_models_is_looked_up_as_well():
    """Built for 4 x 4 windows, given 2 x 8 and 2 x 2."""
    fuse = Aggregator(5, HEADS, 16).eval()
    for grid in ((2, 8), (2, 2)):
        arguments = inputs(grid, 2, torch.float32)
        sample = evenly_spread(49 * grid[0] * grid[1])
        assert torch.equal(fuse(*arguments), plain(*arguments, sample, 1, "mean"))


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_a_gpu_measures_the_same_divergence(scale, offset):
    """Against softmax in double precision, from nearly uniform to one-hot attention; a third of the keys is one."""
    queries = scale * torch.randn(2, 2, 60, 8)
    keys = torch.randn(2, 2, 45, 8) + offset * torch.randn(2, 2, 1, 8)
    keys[:, :, :15] = keys[:, :, :1]
    log_p = (queries.double() @ keys.double().mT / math.sqrt(8)).log_softmax(3)
    expected = (log_p.exp() * (log_p + math.log(45))).sum(3)
    found = kl_attention_uniform_in_few_launches(queries, keys).double()
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)
    torch.testing.assert_close(kl_attention_uniform(queries, keys).double(), expected, rtol=1e-2, atol=0)
