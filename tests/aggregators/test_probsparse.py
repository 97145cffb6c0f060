"""Properties of ProbSparse fusion that are not those of every aggregator."""

import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from favit.aggregators._selection import by_map, in_windows
from favit.aggregators._voting import kl_attention_uniform
from favit.aggregators.probsparse import Aggregator, evenly_spread, sample_size
from favit.components import registry
from favit.models.favit import FaViT, Shape


def inputs(grid=(2, 2), channels=4, queries=9, batch=2, heads=2):
    samples = torch.randn(batch, heads, 49, grid[0] * grid[1], channels)
    query = torch.randn(batch, heads, queries, channels)
    weight, bias = torch.randn(channels, channels), torch.randn(channels)
    return samples, query, lambda: (weight, bias), grid


def test_one_window_is_the_identity():
    samples, *rest = inputs(grid=(1, 1))
    assert torch.equal(Aggregator(4, 2, 1)(samples, *rest), samples.squeeze(3))


def test_ties_go_to_the_lower_index_of_the_map():
    samples, queries, key_map, grid = inputs(grid=(2, 2))
    samples = samples[:, :, :, :1].expand(-1, -1, -1, 4, -1)  # four equal windows: every token four times
    ours = Aggregator(4, 2, 4, measure="exact")(samples, queries, key_map, grid)
    for image in range(2):
        for head in range(2):
            tokens = [samples[image, head, (r % 7) * 7 + c % 7, 0] for r in range(14) for c in range(14)]
            weight, _ = key_map()
            voters = voting(queries[image, head], tokens, weight)
            scores = [round(float(voters @ (weight @ t)), 4) for t in tokens]
            order = sorted(range(196), key=lambda j: (-scores[j], j))[:49]
            expected = torch.stack([tokens[j] for j in sorted(order)])
            torch.testing.assert_close(ours[image, head], expected)


def voting(queries, tokens, weight):
    """Mean of the queries of largest divergence from uniform attention; as many as vote."""
    scores = torch.stack([queries @ (weight @ t) for t in tokens], dim=1) / math.sqrt(queries.shape[1])
    p = scores.softmax(1)
    divergence = (p * (p * len(tokens)).log()).sum(1)
    return queries[divergence.topk(math.ceil(math.log(len(queries)))).indices].mean(0)


def test_equal_scores_everywhere_keep_the_first_rows():
    samples, queries, key_map, grid = inputs(grid=(2, 3))
    same = samples[:, :, :1, :1].expand_as(samples).clone()
    index = Aggregator(4, 2, 6).select(same.permute(0, 3, 2, 1, 4).flatten(1, 2), queries, key_map, grid)
    assert torch.equal(index, torch.arange(49).expand_as(index))


def test_not_a_number_is_handed_on_rather_than_raised():
    samples, queries, key_map, grid = inputs()
    samples[0, 0] = float("nan")
    assert Aggregator(4, 2, 4)(samples, queries, key_map, grid)[1].isfinite().all()


@pytest.mark.parametrize("keys", [49, 98, 196, 784, 3136])
def test_a_sample_has_distinct_keys_and_the_size_of_the_paper(keys):
    size = min(keys, 5 * math.ceil(math.log(keys)))
    assert sample_size(keys) == size
    fuse = Aggregator(4, 1, keys // 49)
    fuse.resample(torch.Generator().manual_seed(0))
    for sample in (evenly_spread(keys), fuse.training_sample):
        assert len(set(sample.tolist())) == size
        assert set(sample.tolist()) <= set(range(keys))


def test_training_samples_follow_the_generator_and_evaluation_stays():
    arguments = inputs(grid=(4, 4), queries=200, batch=4)
    fuse = Aggregator(4, 2, 16)
    fixed = fuse.eval()(*arguments)
    results = []
    for seed in (1, 2, 1):
        fuse.train().resample(torch.Generator().manual_seed(seed))
        results.append(fuse(*arguments))
        assert torch.equal(fuse.eval()(*arguments), fixed)
    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[1])


def test_every_key_is_sampled_equally_often():
    fuse, generator = Aggregator(4, 1, 2), torch.Generator().manual_seed(0)
    drawn = torch.zeros(98)
    for _ in range(2000):
        fuse.resample(generator)
        drawn[fuse.training_sample] += 1
    expected = 2000 * sample_size(98) / 98
    assert ((drawn - expected).abs() < 6 * math.sqrt(expected)).all()


def test_nearly_uniform_attention_is_told_from_uniform():
    queries = 1e-4 * torch.randn(1, 1, 200, 8)
    keys = torch.randn(1, 1, 45, 8)
    scores = (queries.double() @ keys.double().transpose(2, 3)) / math.sqrt(8)
    p = scores.softmax(3)
    torch.testing.assert_close(
        kl_attention_uniform(queries, keys).double(), (p * (p * 45).log()).sum(3), rtol=1e-2, atol=0
    )


def test_attention_on_one_key_has_the_largest_sparsity():
    queries, keys = torch.ones(1, 1, 2, 1), torch.zeros(1, 1, 45, 1)
    queries[0, 0, 1], keys[0, 0, 7] = 1e4, 1.0
    measure = kl_attention_uniform(queries, keys)[0, 0]
    assert measure.isfinite().all()
    assert measure[1] == pytest.approx(math.log(45), rel=1e-4)


@pytest.mark.parametrize("scale", [1.0, 30.0, 100.0, 1000.0])
@pytest.mark.parametrize("keys", [45, 3136])
def test_the_divergence_holds_where_several_scores_are_large(scale, keys):
    """Against softmax in double precision; with many keys at the top attention is far from one-hot."""
    queries, keys_bhlc = torch.randn(1, 1, 60, 8), torch.randn(1, 1, keys, 8)
    keys_bhlc[:, :, : keys // 3] = keys_bhlc[:, :, :1]  # a third of the keys is one key
    queries = queries * scale
    log_p = (queries.double() @ keys_bhlc.double().transpose(2, 3) / math.sqrt(8)).log_softmax(3)
    expected = (log_p.exp() * (log_p + math.log(keys))).sum(3)
    measured = kl_attention_uniform(queries, keys_bhlc)
    torch.testing.assert_close(measured.double(), expected, rtol=1e-3, atol=1e-3)


def test_samples_are_no_part_of_the_state():
    assert not Aggregator(4, 1, 4).state_dict()


def test_orders_by_map_and_by_window_are_inverse():
    grid = (2, 3)
    places = in_windows(torch.arange(49 * 6), grid)
    assert torch.equal(by_map(torch.arange(49 * 6).view(1, 1, -1), grid).flatten(), places)
    # Second row of the second window: window 1 begins at column 7, position 7 is its (1, 0).
    assert places[1 * 21 + 7] == 49 + 7


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"measure": "guess"}, "'sampled', 'exact'"),
        ({"pool": "sum"}, "'mean', 'max'"),
        ({"factor": 0}, "at least 1"),
    ],
)
def test_a_wrong_setting_names_what_is_allowed(settings, named):
    with pytest.raises(ValueError, match=named):
        Aggregator(4, 1, 4, **settings)


def real_images(count, size):
    """CIFAR-100 test images, else digits, resized: (count, 3, size, size), standardised."""
    folder = Path(os.environ.get("FAVIT_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))
    files = [f for f in folder.rglob("test") if f.is_file()] if folder.is_dir() else []
    if files:
        rows = pickle.loads(files[0].read_bytes(), encoding="bytes")[b"data"][:count]
        images = torch.from_numpy(np.asarray(rows)).view(-1, 3, 32, 32).float()
    else:
        digits = pytest.importorskip("sklearn.datasets").load_digits().images[:count]
        images = torch.from_numpy(digits).float().unsqueeze(1).expand(-1, 3, -1, -1)
    images = torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear")
    return (images - images.mean()) / images.std()


def test_the_sampled_measure_chooses_much_of_what_the_exact_one_chooses(record_property):
    torch.manual_seed(0)
    model = FaViT(Shape((32, 64, 128, 256), (1, 1, 1, 1)), img_size=112, aggregator="probsparse").eval()
    overlaps = []

    def compare(fuse, arguments):
        samples, queries, key_map, grid = arguments
        if samples.shape[3] == 1:
            return
        exact = registry.load("aggregators", "probsparse").Aggregator(
            samples.shape[4], samples.shape[1], samples.shape[3], measure="exact"
        )
        flat = samples.permute(0, 3, 2, 1, 4).flatten(1, 2)
        ours, theirs = (f.select(flat, queries, key_map, grid) for f in (fuse, exact))
        both = (ours.unsqueeze(3) == theirs.unsqueeze(2)).any(3).float().mean()
        overlaps.append((samples.shape[3], both.item()))

    for stage in model.stages:
        for block in stage.blocks:
            for fuse in block.attn.aggregators:
                fuse.register_forward_pre_hook(compare)
    with torch.no_grad():
        model(real_images(8, 112))
    assert overlaps
    for windows, overlap in overlaps:
        print(f"{windows:3d} windows: {overlap:.3f} of the chosen keys are those of the exact measure")
        by_chance = 1 / windows
        assert (overlap - by_chance) / (1 - by_chance) > 0.2
    record_property("overlap", overlaps)
