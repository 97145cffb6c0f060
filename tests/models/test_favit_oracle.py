"""FaViT-B0 against the numbers of the authors' code, under weights that follow from names and shapes."""

import torch

from favit.models.favit import checkpoint_filter_fn, favit_b0


def images(count=2, size=224):
    return (
        torch.sin(torch.arange(count * 3 * size * size, dtype=torch.float64) * 0.0137)
        .view(count, 3, size, size)
        .float()
    )


def test_logits_are_those_of_the_authors_code(published_favit, published_weights):
    model = favit_b0(aggregator="published").eval()
    model.load_state_dict(checkpoint_filter_fn(published_weights, model))
    with torch.no_grad():
        logits = model(images())[:, :8]
    expected = torch.tensor(published_favit["logits"])
    assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_every_published_weight_finds_a_place_and_none_is_lost(published_weights):
    model = favit_b0(aggregator="published")
    renamed = checkpoint_filter_fn(published_weights, model)
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in model.state_dict().items()}
    theirs = torch.cat([t.flatten() for t in published_weights.values()]).sort().values
    ours = torch.cat([t.flatten() for t in renamed.values()]).sort().values
    assert torch.equal(ours, theirs)


def test_own_names_pass_unchanged():
    model = favit_b0(aggregator="published", num_classes=3)
    state = model.state_dict()
    assert checkpoint_filter_fn(state, model).keys() == state.keys()
