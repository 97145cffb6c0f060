"""Initial values come from (seed, name): arms start equal in what they share, and drawn as their constructors draw."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from favit.components import declared, registry
from favit.components.flags import flag
from favit.train import build, initialisation

CPU = torch.device("cpu")
FACTS: dict[str, dict[str, Any]] = {
    "favit_b0": {"classes": 10, "channels": 3},
    "informer": {"variables": 7, "time_features": 4},
}
SMALL = {
    "favit_b0": {"dataset": "digits", "image_size": 64},
    "informer": {"dataset": "etth1", "model.d_model": 32, "model.n_heads": 4, "model.d_ff": 64},
}


def run_of(model: str, aggregator: str, encoding: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    task = "classification" if model == "favit_b0" else "forecasting"
    arm = {"model": model, "aggregator": aggregator, "encoding": encoding, "seed": seed}
    return {**declared.training_defaults(task), **SMALL[model], **arm, **changes}


def parameters(model: str, aggregator: str, encoding: str, **changes: Any) -> dict[str, Tensor]:
    built = build.model(run_of(model, aggregator, encoding, **changes), FACTS[model], CPU)
    return {name: p.detach() for name, p in built.named_parameters()}


def arms(model: str) -> list[tuple[str, str]]:
    """Every attention with every encoding that it takes; of images every one of both, to be fast not each pair."""
    if model == "favit_b0":
        encodings = [e for e in registry.names("encodings") if flag("encodings", e, "IMAGES")]
        return [(a, "none") for a in registry.names("aggregators")] + [("linear", e) for e in encodings]
    inside = {a for a in registry.names("attention") if flag("attention", a, "POSITION_INSIDE")}
    encodings = [e for e in registry.names("encodings") if flag("encodings", e, "SERIES")]
    return [
        (a, e)
        for a in registry.names("attention")
        for e in encodings
        if a not in inside or flag("encodings", e, "ADDS_POSITION")
    ]


@pytest.mark.parametrize("model", list(SMALL))
def test_arms_start_equal_in_all_that_they_share(model: str) -> None:
    """Each pair: every parameter of the same name and shape, and only what belongs to a mechanism is not shared."""
    built = {arm: parameters(model, *arm) for arm in arms(model)}
    if model == "informer":
        built["deep", ""] = parameters(model, "full", "sinusoidal", **{"model.mlp_depth": 4})
    own = (".aggregators.", ".mechanism.", ".encoding.", "_embedding.time.")
    for one, other in combinations(built, 2):
        left, right = built[one], built[other]
        shared = [name for name in left if name in right and left[name].shape == right[name].shape]
        unequal = [name for name in shared if not torch.equal(left[name], right[name])]
        if one[0] == other[0] or not unequal:
            assert not unequal, (one, other)
        assert all(any(part in name for part in own) for name in unequal), (one, other, unequal)
        alone = [name for name in left.keys() ^ right.keys() if not any(part in name for part in own)]
        assert not alone or "deep" in one + other, (one, other, alone)


def test_what_shared_nothing_before_shares_all_but_its_own() -> None:
    plain = parameters("favit_b0", "max_pool", "none")
    for arm in (("linear", "none"), ("pointwise_conv", "none"), ("max_pool", "learned")):
        other = parameters("favit_b0", *arm)
        assert len(other) > len(plain) and all(torch.equal(plain[name], other[name]) for name in plain)
    vanilla = parameters("informer", "probsparse", "sinusoidal")
    bare = parameters("informer", "delta_v", "none")
    shared = [name for name in bare if name in vanilla]
    assert len(shared) == len(vanilla) - 2 * len(
        ["weight", "bias"]
    )  # the time features of encoder and decoder
    assert all(torch.equal(bare[name], vanilla[name]) for name in shared)


@pytest.mark.parametrize("model", list(SMALL))
def test_seeds_and_names_differ_and_repeat(model: str) -> None:
    arm = ("linear", "learned") if model == "favit_b0" else ("full", "learned")
    first, again, other = (parameters(model, *arm, seed=seed) for seed in (0, 0, 1))
    drawn = {name for name, values in first.items() if values.std() > 0}
    assert len(drawn) > len(first) / 3
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    starts = [tuple(first[name].flatten()[:4].tolist()) for name in drawn if first[name].numel() > 3]
    assert len(set(starts)) == len(starts)


def by_shape(built: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Each parameter's values of several models in one row."""
    return {name: torch.cat([one[name].flatten() for one in built]) for name in built[0]}


@pytest.mark.parametrize("model", list(SMALL))
def test_distributions_are_those_of_the_constructors(model: str) -> None:
    """Kolmogorov-Smirnov of each parameter over four seeds, against the constructors drawing in order."""
    arm = ("linear", "learned") if model == "favit_b0" else ("full", "learned")
    family = registry.load("models", "favit" if model == "favit_b0" else model)
    run = run_of(model, *arm)

    def in_order(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(1000 + seed)
        return {name: p.detach() for name, p in family.build(run, FACTS[model]).named_parameters()}

    ours = by_shape([parameters(model, *arm, seed=seed) for seed in range(4)])
    theirs = by_shape([in_order(seed) for seed in range(4)])
    p_values = []
    for name, values in ours.items():
        reference = theirs[name]
        if reference.std() == 0:
            assert torch.equal(values, reference), name
        else:
            p_values.append(stats.ks_2samp(values, reference).pvalue)
    assert len(p_values) > len(ours) / 3
    assert min(p_values) > 1e-3 / len(p_values)  # Bonferroni
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_nothing_correlates_between_names() -> None:
    values = parameters("informer", "full", "none")
    alike = [v.flatten() for v in values.values() if v.shape == (32, 32)]
    together = torch.corrcoef(torch.stack(alike)) - torch.eye(len(alike))
    assert len(alike) > 8 and together.abs().max() < 5 / 32  # 5 sigma of 1,024 independent pairs


class Layer(nn.Module):
    """Draws as people may: in its parameter, before it, by rejection, twice, and with numbers between."""

    def __init__(self, extra: bool) -> None:
        super().__init__()
        self.extra = nn.Linear(3, 5) if extra else None
        self.early = nn.Parameter(torch.randn(40) / 9)
        self.late = nn.Parameter(torch.empty(40))
        self.lazy, self.nothing = nn.LazyLinear(2), nn.Parameter(torch.empty(0).normal_())
        torch.randn(40, out=self.late.data)
        self.twice = nn.Linear(6, 6)
        nn.init.orthogonal_(self.twice.weight)
        self.register_buffer("fixed", torch.rand(7))
        self.last = nn.Parameter(torch.empty(30))
        nn.init.trunc_normal_(self.last, a=-0.5, b=0.5)
        self.tied = self.last


@pytest.mark.parametrize("make", [lambda extra: nn.Sequential(Layer(extra), nn.Linear(4, 4)), Layer])
def test_any_way_to_draw_follows_the_name(make: Callable[[bool], nn.Module]) -> None:
    plain, with_extra = (initialisation.named(lambda e=e: make(e), 5).state_dict() for e in (False, True))
    assert len(with_extra) == len(plain) + 2
    there = [name for name in plain if ".lazy" not in f".{name}"]
    assert [name for name in there if not torch.equal(plain[name], with_extra[name])] == []
    last = next(v for n, v in plain.items() if n.endswith("last"))
    assert last.abs().max() <= 0.5 and len(set(last.tolist())) == 30
    early = next(v for n, v in plain.items() if n.endswith("early"))
    assert 0.05 < early.std() < 0.2 and len(set(early.tolist())) == 40
    weight = next(v for n, v in plain.items() if n.endswith("twice.weight"))
    torch.testing.assert_close(weight @ weight.T, torch.eye(6), atol=1e-5, rtol=0)


def test_no_hook_stays_behind() -> None:
    def fails() -> nn.Module:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        initialisation.named(fails, 0)
    initialisation.named(lambda: nn.Linear(2, 2), 0)
    torch.manual_seed(0)
    one = nn.Linear(3, 3).weight
    torch.manual_seed(0)
    assert torch.equal(one, nn.Linear(3, 3).weight)
    hooks = nn.modules.module
    assert not hooks._global_parameter_registration_hooks and not hooks._global_module_registration_hooks
