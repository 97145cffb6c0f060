"""Each aggregator against loops over images, heads, positions and windows, in float64: values and gradients."""

import math

import pytest
import torch

from favit.components import registry

HEADS, CHANNELS = 2, 3
GRIDS = [(1, 1), (1, 2), (3, 1), (2, 3)]


def make(name, windows, **settings):
    return registry.load("aggregators", name).Aggregator(CHANNELS, HEADS, windows, **settings).double()


def inputs(grid, queries=11, batch=2):
    samples = torch.randn(
        batch, HEADS, 49, grid[0] * grid[1], CHANNELS, dtype=torch.double, requires_grad=True
    )
    query = torch.randn(batch, HEADS, queries, CHANNELS, dtype=torch.double)
    weight = torch.randn(CHANNELS, CHANNELS, dtype=torch.double)
    bias = torch.randn(CHANNELS, dtype=torch.double)
    return samples, query, lambda: (weight, bias), grid


def by_position(samples, token):
    """Stack ``token(windows x channels of one position, head)`` over images, heads and positions."""
    return torch.stack(
        [
            torch.stack(
                [torch.stack([token(position, h) for position in head]) for h, head in enumerate(image)]
            )
            for image in samples
        ]
    )


def max_pool(fuse, samples):
    return by_position(
        samples, lambda at, _: torch.stack([max(at[:, c], key=lambda x: x.item()) for c in range(CHANNELS)])
    )


def avg_pool(fuse, samples):
    return by_position(samples, lambda at, _: sum(at[w] for w in range(len(at))) / len(at))


def published(fuse, samples):
    def token(at, _):
        flat = [at[w, c] for w in range(len(at)) for c in range(CHANNELS)]
        return torch.stack([sum(flat[c * len(at) : (c + 1) * len(at)]) / len(at) for c in range(CHANNELS)])

    return by_position(samples, token)


def linear(fuse, samples):
    weight = fuse.fuse.weight.view(CHANNELS, -1, CHANNELS)  # output, window, input
    return by_position(
        samples,
        lambda at, _: fuse.fuse.bias + sum(weight[:, w] @ at[w] for w in range(len(at))),
    )


def pointwise_conv(fuse, samples):
    weight = fuse.fuse.weight.view(HEADS, CHANNELS, -1, CHANNELS)  # head, output, window, input
    bias = fuse.fuse.bias.view(HEADS, CHANNELS)
    return by_position(samples, lambda at, h: bias[h] + sum(weight[h, :, w] @ at[w] for w in range(len(at))))


REFERENCES = [max_pool, avg_pool, published, linear, pointwise_conv]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("reference", REFERENCES, ids=lambda f: f.__name__)
def test_equals_its_loops(reference, grid):
    fuse = make(reference.__name__, grid[0] * grid[1])
    samples, *rest = inputs(grid)
    ours, theirs = fuse(samples, *rest), reference(fuse, samples)
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    wanted = [samples, *fuse.parameters()]
    for mine, other in zip(
        torch.autograd.grad(ours, wanted, direction),
        torch.autograd.grad(theirs, wanted, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def probsparse(samples, queries, key_map, grid, sample, factor=1, pool="mean"):
    """Loops over images, heads, queries and keys. ``sample`` lists the keys that the measure sees, by map order."""
    weight, bias = key_map()
    count = 49 * grid[0] * grid[1]
    images = []
    for image, image_queries in zip(samples, queries, strict=True):
        heads = []
        for head, head_queries in zip(image, image_queries, strict=True):
            tokens = in_map_order(head, grid)
            keys = [weight @ token + bias for token in tokens]
            measures = [measure(q, [keys[j] for j in sample]) for q in head_queries]
            votes = min(len(head_queries), max(1, factor * math.ceil(math.log(len(head_queries)))))
            voters = sorted(range(len(measures)), key=lambda i: -measures[i])[:votes]
            pooled = []
            for key in keys:
                scores = [(head_queries[i] @ key).item() for i in voters]
                pooled.append(sum(scores) / votes if pool == "mean" else max(scores))
            chosen = sorted(sorted(range(count), key=lambda j: (-round(pooled[j], 9), j))[:49])
            heads.append(torch.stack([tokens[j] for j in chosen]))
        images.append(torch.stack(heads))
    return torch.stack(images)


def in_map_order(head, grid):
    """A head's samples (49, windows, c) as a list by row, then column of the map of all samples."""
    return [
        head[(row % 7) * 7 + column % 7, (row // 7) * grid[1] + column // 7]
        for row in range(7 * grid[0])
        for column in range(7 * grid[1])
    ]


def measure(query, keys):
    """D_KL(P || U) of one query's attention P over the keys and the uniform U: sum of P log(P / U)."""
    scores = [math.exp((query @ key).item() / math.sqrt(len(query))) for key in keys]
    p = [score / sum(scores) for score in scores]
    return sum(x * math.log(x * len(keys)) for x in p if x > 0)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("factor", [1, 5])
@pytest.mark.parametrize("kind", ["exact", "evaluation", "training"])
def test_probsparse_equals_its_loops(kind, factor, pool, grid):
    count = 49 * grid[0] * grid[1]
    fuse = make(
        "probsparse", count // 49, factor=factor, pool=pool, measure="exact" if kind == "exact" else "sampled"
    )
    fuse.train(kind == "training")
    fuse.resample(torch.Generator().manual_seed(3))
    sample = {
        "exact": range(count),
        "evaluation": fuse.evaluation_sample.tolist(),
        "training": fuse.training_sample.tolist(),
    }[kind]
    arguments = inputs(grid)
    ours = fuse(*arguments)
    theirs = probsparse(*arguments, sample, factor, pool)
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    torch.testing.assert_close(
        torch.autograd.grad(ours, arguments[0], direction),
        torch.autograd.grad(theirs, arguments[0], direction),
    )
