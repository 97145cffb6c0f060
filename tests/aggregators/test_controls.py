"""The controls random, top_norm and zero against loops, and what makes each of them a control."""

import copy
import os

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from favit.aggregators.probsparse import Aggregator as ProbSparse
from favit.aggregators.random import Aggregator as Random
from favit.aggregators.top_norm import Aggregator as TopNorm
from favit.aggregators.zero import Aggregator as Zero
from favit.models.favit import FaViT, Shape

CHANNELS, HEADS, GRID = 4, 2, (2, 3)
WINDOWS = 6


def inputs(grid=GRID, batch=2, dtype=torch.double):
    samples = torch.randn(batch, HEADS, 49, grid[0] * grid[1], CHANNELS, dtype=dtype, requires_grad=True)
    queries = torch.randn(batch, HEADS, 9, CHANNELS, dtype=dtype)
    key = torch.randn(CHANNELS, CHANNELS, dtype=dtype), torch.randn(CHANNELS, dtype=dtype)
    return samples, queries, lambda: key, grid


def in_map_order(head, grid):
    """A head's samples (49, windows, c) as a list by row, then column of the map of all samples."""
    return [
        head[row % 7 * 7 + column % 7, row // 7 * grid[1] + column // 7]
        for row in range(7 * grid[0])
        for column in range(7 * grid[1])
    ]


def chosen_by_loops(samples, grid, places_of):
    """Tokens (B, heads, 49, c) at ``places_of(tokens, head)``, which are counted by row, then column."""
    return torch.stack(
        [
            torch.stack(
                [torch.stack([tokens[j] for j in places_of(tokens, h)]) for h, tokens in enumerate(image)]
            )
            for image in ([in_map_order(head, grid) for head in heads] for heads in samples)
        ]
    )


@pytest.mark.parametrize("grid", [(1, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_random_equals_its_loops(grid, training):
    fuse = Random(CHANNELS, HEADS, grid[0] * grid[1]).train(training)
    fuse.resample(torch.Generator().manual_seed(3))
    places = (fuse.training_places if training else fuse.evaluation_places).tolist()
    samples, *rest = inputs(grid)
    ours = fuse(samples, *rest)
    theirs = chosen_by_loops(samples, grid, lambda tokens, head: places[head])
    assert torch.equal(ours, theirs)
    direction = torch.randn_like(ours)
    mine, other = (torch.autograd.grad(x, samples, direction)[0] for x in (ours, theirs))
    assert torch.equal(mine, other)


@pytest.mark.parametrize("grid", [(1, 2), (3, 1), (2, 3)])
def test_top_norm_equals_its_loops(grid):
    samples, queries, key_map, _ = inputs(grid)
    weight, bias = key_map()

    def largest(tokens, head):
        norms = [(weight @ token + bias).norm().item() for token in tokens]
        return sorted(sorted(range(len(norms)), key=lambda j: (-norms[j], j))[:49])

    ours = TopNorm(CHANNELS, HEADS, grid[0] * grid[1])(samples, queries, key_map, grid)
    theirs = chosen_by_loops(samples, grid, largest)
    assert torch.equal(ours, theirs)
    direction = torch.randn_like(ours)
    mine, other = (torch.autograd.grad(x, samples, direction)[0] for x in (ours, theirs))
    assert torch.equal(mine, other)


@pytest.mark.parametrize("make", [Random, TopNorm])
def test_one_window_is_the_identity(make):
    samples, *rest = inputs((1, 1))
    assert torch.equal(make(CHANNELS, HEADS, 1)(samples, *rest), samples.squeeze(3))


def test_random_keeps_as_many_distinct_samples_as_probsparse():
    samples, *rest = inputs()
    kept = ProbSparse(CHANNELS, HEADS, WINDOWS)(samples, *rest)
    fuse = Random(CHANNELS, HEADS, WINDOWS)
    fuse.resample(torch.Generator().manual_seed(0))
    assert fuse(samples, *rest).shape == kept.shape
    for places_ht in (fuse.training_places, fuse.evaluation_places):
        for places in places_ht.tolist():
            assert len(set(places)) == kept.shape[2] == 49
            assert places == sorted(places) and places[0] >= 0 and places[-1] < 49 * WINDOWS


def test_random_follows_the_generator_in_training_and_stays_in_evaluation():
    arguments, before = inputs(), torch.get_rng_state()
    fuse = Random(CHANNELS, HEADS, WINDOWS)
    assert torch.equal(torch.get_rng_state(), before), "initial weights would depend on the aggregator"
    fixed, drawn = fuse.eval()(*arguments), []
    for seed in (1, 2, 1):
        fuse.train().resample(torch.Generator().manual_seed(seed))
        drawn.append(fuse(*arguments))
        assert torch.equal(fuse.eval()(*arguments), fixed)
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    assert torch.equal(Random(CHANNELS, HEADS, WINDOWS).eval()(*arguments), fixed)
    assert not fuse.state_dict(), "a resumed run draws again; a checkpoint has nothing to say"


def test_random_takes_every_sample_equally_often_and_heads_differ():
    fuse, generator = Random(CHANNELS, HEADS, 2), torch.Generator().manual_seed(0)
    taken, equal = torch.zeros(98), 0
    for _ in range(1000):
        fuse.resample(generator)
        taken[fuse.training_places[0]] += 1
        equal += torch.equal(fuse.training_places[0], fuse.training_places[1])
    assert ((taken - 500).abs() < 6 * 250**0.5).all()  # binomial with p = 1/2
    assert equal == 0


def test_random_on_another_number_of_windows_spreads_evenly():
    samples, *rest = inputs((3, 4))
    fuse = Random(CHANNELS, HEADS, WINDOWS)
    places = [(2 * i + 1) * 588 // 98 for i in range(49)]
    assert len(set(places)) == 49
    assert torch.equal(fuse(samples, *rest), chosen_by_loops(samples, (3, 4), lambda *_: places))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_top_norm_gives_ties_to_the_lower_index_of_the_map(dtype):
    """Four equal windows hold each token four times, as reflection at a map's edge makes them."""
    samples, queries, key_map, grid = inputs((2, 2), dtype=dtype)
    samples = samples[:, :, :, :1].expand(-1, -1, -1, 4, -1)
    weight, bias = (x.float() for x in key_map())

    def largest(tokens, head):
        norms = [round(float((weight @ token.float() + bias).norm()), 4) for token in tokens]
        return sorted(sorted(range(len(norms)), key=lambda j: (-norms[j], j))[:49])

    ours = TopNorm(CHANNELS, HEADS, 4)(samples, queries, key_map, grid)
    assert torch.equal(ours, chosen_by_loops(samples, grid, largest))


def test_zero_is_zero_whatever_the_samples_hold():
    samples, *rest = inputs()
    with torch.no_grad():
        samples[0, 0, 0], samples[0, 0, 1], samples[1] = float("inf"), float("nan"), -1.0
    tokens = Zero(CHANNELS, HEADS, WINDOWS)(samples, *rest)
    assert torch.equal(tokens, torch.zeros_like(tokens))
    (gradient,) = torch.autograd.grad(tokens.sum(), samples)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def small_model(aggregator):
    torch.manual_seed(0)
    return FaViT(Shape((32, 64, 128, 256), (1, 1, 1, 1)), num_classes=5, img_size=64, aggregator=aggregator)


def test_zero_hides_the_image_from_every_dilated_group():
    """A group's output is one vector a head, the same for each image and query: biases alone."""
    model, seen = small_model("zero").eval(), []
    for stage in model.stages:
        for block in stage.blocks:
            inner = block.attn._dilated_groups
            block.attn._dilated_groups = lambda *x, inner=inner: (seen.append(inner(*x)), seen[-1])[1]
    with torch.no_grad():
        model(torch.randn(3, 3, 64, 64))
    assert len(seen) == 4
    for out_bnc in seen:
        torch.testing.assert_close(out_bnc, out_bnc[:1, :1].expand_as(out_bnc))


def test_the_controls_have_the_same_parameters_at_the_start():
    first, *others = (small_model(name).state_dict() for name in ("max_pool", "random", "top_norm", "zero"))
    for other in others:
        assert first.keys() == other.keys()
        assert all(torch.equal(first[key], other[key]) for key in first)


@pytest.fixture
def alone_in_a_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or os.name != "posix", reason="needs gloo")
@pytest.mark.parametrize("name", ["random", "zero"])
def test_processes_that_train_together_wait_for_no_gradient_that_never_comes(alone_in_a_group, name):
    """Torch's wrapper raises in the second step where a parameter had no gradient in the first."""
    plain = small_model(name).train()
    together = DistributedDataParallel(copy.deepcopy(plain))
    images = torch.randn(2, 3, 64, 64)
    for _ in range(2):
        for model in (plain, together):
            model.zero_grad()
            model(images).square().sum().backward()
    for (key, ours), theirs in zip(plain.named_parameters(), together.parameters(), strict=True):
        assert ours.grad is not None, key
        torch.testing.assert_close(theirs.grad, ours.grad)
