"""Parameters and multiply-accumulates: published numbers, the formula, and torch's counter."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from favit.analysis._favit_macs import favit_macs
from favit.analysis.count import count
from favit.models import favit as family

PUBLISHED = {  # with 1,000 classes, at 224 x 224
    "favit_b0": (3_427_704, 0.632),
    "favit_b1": (12_958_568, 2.344),
    "favit_b2": (24_919_896, 4.458),
    "favit_b3": (48_746_440, 8.512),
}


def model_on_meta(variant, size=(224, 224), **settings: Any):
    with torch.device("meta"):
        return getattr(family, variant)(img_size=size, **settings)


@cache
def on_meta(variant, size=(224, 224), aggregator="published", num_classes=1000, factor=None):
    more = {} if factor is None else {"aggregator_settings": {"factor": factor}}
    model = model_on_meta(variant, size, aggregator=aggregator, num_classes=num_classes, **more)
    return count(model, torch.empty(1, 3, *size, device="meta"))


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=[pytest.mark.slow] if v in ("favit_b1", "favit_b3") else []) for v in PUBLISHED],
)
def test_counts_are_the_published_ones(variant):
    params, giga_macs = PUBLISHED[variant]
    counts = on_meta(variant)
    assert counts.params == params
    assert round(counts.macs / 1e9, 3) == giga_macs


def test_b0_to_the_last_multiplication():
    assert on_meta("favit_b0").macs == 632_135_696


@pytest.mark.parametrize(
    ("variant", "settings", "params"),
    [
        ("favit_b0", {"num_classes": 100}, 3_196_404),
        ("favit_b0", {"aggregator": "linear"}, 3_473_512),
        ("favit_b0", {"aggregator": "pointwise_conv"}, 3_521_504),
        ("favit_b2", {"aggregator": "linear"}, 25_197_320),
        ("favit_b2", {"aggregator": "pointwise_conv"}, 25_653_272),
        ("favit_b0", {"aggregator": "max_pool"}, 3_427_704),
        ("favit_b0", {"aggregator": "avg_pool"}, 3_427_704),
        ("favit_b0", {"aggregator": "probsparse"}, 3_427_704),
        ("favit_b0", {"aggregator": "random"}, 3_427_704),
        ("favit_b0", {"aggregator": "top_norm"}, 3_427_704),
        ("favit_b0", {"aggregator": "zero"}, 3_427_704),
    ],
)
def test_parameters_by_aggregator(variant, settings, params):
    model = model_on_meta(variant, **settings)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == params


AGGREGATORS = (
    "published",
    "max_pool",
    "avg_pool",
    "linear",
    "pointwise_conv",
    "probsparse",
    "random",
    "top_norm",
    "zero",
)


@pytest.mark.parametrize(
    ("aggregator", "size"),
    [
        *((name, (33, 95)) for name in AGGREGATORS),
        *((name, (224, 224)) for name in ("published", "linear", "probsparse")),
        ("probsparse", (64, 64)),
    ],
)
def test_the_formula_agrees_with_the_counter(aggregator, size):
    counted = on_meta("favit_b0", size, aggregator=aggregator, num_classes=10)
    assert favit_macs("favit_b0", size, 10, aggregator) == counted.macs


@pytest.mark.parametrize("factor", [1, 5])
def test_selection_costs_what_the_formula_says(factor):
    extra = on_meta("favit_b0", aggregator="probsparse", factor=factor).macs - on_meta("favit_b0").macs
    assert 0 < extra == favit_macs("favit_b0", (224, 224), 1000, "probsparse", factor) - 632_135_696


def test_counting_leaves_the_model_and_its_device_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    counts = count(model, torch.zeros(5, 3))
    assert (counts.params, counts.macs) == (3 * 4 + 4 + 4 * 2, 5 * (3 * 4 + 4 * 2))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert model[0].weight.device.type == "cpu"


class Products(nn.Module):
    def forward(self, x, y):
        return (x * y).sum()

    def elementwise_macs(self, x, y):
        return x.numel()


def test_a_module_tells_the_products_that_the_counter_misses():
    model = nn.ModuleDict({"inner": Products()})
    model.forward = lambda x: model["inner"](x, x) + model["inner"](x, x)
    assert count(model, torch.zeros(2, 7)).macs == 2 * 14
    assert not model["inner"]._forward_pre_hooks


def test_fused_attention_is_counted():
    class Attention(nn.Module):
        def forward(self, q):
            return nn.functional.scaled_dot_product_attention(q, q, q)

    assert count(Attention(), torch.zeros(1, 2, 10, 8)).macs == 2 * 2 * 10 * 10 * 8
