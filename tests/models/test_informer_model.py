"""Informer's parts against plain restatements, and what the assembled model promises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from favit.attention.cross_terms import Attention as CrossTerms
from favit.attention.delta_v import Attention as DeltaV
from favit.attention.full import Attention as Full
from favit.attention.probsparse import Attention as Sparse
from favit.components import declared, registry
from favit.models._informer_layers import (
    CircularConv,
    CrossAttention,
    DecoderLayer,
    Distilling,
    FeedForward,
    SelfAttention,
    distilled,
)
from favit.models._linear import Linear
from favit.models.informer import Informer, Settings, build

FACTS = {"variables": 3, "time_features": 4}
BATCH, INPUT, LABEL, HORIZON = 3, 16, 6, 5
ATTENTION = registry.names("attention")
ENCODINGS = [n for n in registry.names("encodings") if registry.load("encodings", n).SERIES]


def make(aggregator: str = "probsparse", encoding: str = "sinusoidal", **settings: Any) -> Informer:
    torch.manual_seed(0)
    run = {
        "aggregator": aggregator,
        "encoding": encoding,
        "input_length": INPUT,
        "label_length": LABEL,
        "horizon": HORIZON,
        "model.d_model": 16,
        "model.n_heads": 4,
        "model.d_ff": 24,
        **settings,
    }
    return build(run, FACTS)


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x_dec = torch.randn(BATCH, LABEL + HORIZON, 3, generator=g)
    x_dec[:, LABEL:] = 0
    x_enc = torch.randn(BATCH, INPUT, 3, generator=g)
    mark_enc = torch.rand(BATCH, INPUT, 4, generator=g) - 0.5
    mark_dec = torch.rand(BATCH, LABEL + HORIZON, 4, generator=g) - 0.5
    return x_enc, mark_enc, x_dec, mark_dec


def fitting(aggregator: str, encoding: str) -> bool:
    inside = registry.load("attention", aggregator).POSITION_INSIDE
    return not inside or registry.load("encodings", encoding).ADDS_POSITION


@pytest.mark.parametrize("shape", [(3, 5, 8), (20, 7, 8), (2, 8), (8,), (2, 3, 4, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linear_is_linear(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Values and all three gradients, whichever way it is computed."""
    torch.manual_seed(0)
    layer = Linear(8, 6).to(dtype)
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    parameters = (x, layer.weight, layer.bias)
    ours, plain = layer(x), F.linear(*parameters)
    torch.testing.assert_close(ours, plain)
    g = torch.randn_like(plain)
    for a, b in zip(
        torch.autograd.grad(ours, parameters, g), torch.autograd.grad(plain, parameters, g), strict=True
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_circular_convolution_is_a_ring(length: int) -> None:
    """Against the sum over three neighbours, indices modulo the length."""
    conv = CircularConv(3, 4).double()
    x = torch.randn(2, length, 3, dtype=torch.float64)
    kernel = rearrange(conv.weight, "o (k i) -> o i k", k=3)
    by_hand = torch.stack(
        [
            sum(x[:, (t - 1 + k) % length] @ kernel[:, :, k].T for k in range(3)) + conv.bias
            for t in range(length)
        ],
        1,
    )
    torch.testing.assert_close(conv(x), by_hand)


@pytest.mark.parametrize("length", [2, 7, 8])
@pytest.mark.parametrize("train", [True, False])
def test_distilling_is_convolution_batch_norm_elu_and_max_pool(length: int, train: bool) -> None:
    torch.manual_seed(0)
    distilling = Distilling(4).double().train(train)
    x = torch.randn(3, length, 4, dtype=torch.float64)
    ring = F.pad(x.mT, (1, 1), mode="circular")
    y = F.conv1d(ring, rearrange(distilling.conv.weight, "o (k i) -> o i k", k=3), distilling.conv.bias)
    y = nn.BatchNorm1d(4).double().train(train)(y)
    expected = nn.MaxPool1d(3, 2, 1)(nn.ELU()(y)).mT
    found = distilling(x)
    assert found.shape[1] == distilled(length)
    torch.testing.assert_close(found, expected)


def test_feed_forward_layer_by_layer() -> None:
    block = FeedForward(4, 6, 4, 0.0, "relu").double()
    assert [(m.in_features, m.out_features) for m in block.linears] == [(4, 6), (6, 6), (6, 6), (6, 4)]
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    y = x
    for i, linear in enumerate(block.linears):
        y = y @ linear.weight.T + linear.bias
        y = y.clamp(min=0) if i < 3 else y
    torch.testing.assert_close(block(x), y)


def layer(mechanism: nn.Module, mix: bool = False) -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(8, 2, mechanism, mix).double().eval()


def test_mix_lays_the_heads_one_after_the_other() -> None:
    plain, mixed = layer(Full()), layer(Full(), mix=True)
    mixed.load_state_dict(plain.state_dict())
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    heads = plain.mechanism(
        *(rearrange(p(x), "b l (h d) -> b h l d", h=2) for p in (plain.query, plain.key, plain.value))
    )
    rows = torch.stack(
        [torch.cat([heads[b, h, i] for h in range(2) for i in range(6)]).view(6, 8) for b in range(2)]
    )
    torch.testing.assert_close(mixed(x), plain.out(rows))
    torch.testing.assert_close(plain(x), plain.out(rearrange(heads, "b h l d -> b l (h d)")))


def test_only_delta_v_sees_the_order_without_positions() -> None:
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    full = layer(Full())
    torch.testing.assert_close(full(x[:, order]), full(x)[:, order])
    delta = layer(DeltaV(length=6, base="full"))
    assert (delta(x[:, order]) - delta(x)[:, order]).abs().max() > 1e-2


def test_all_four_terms_are_attention_of_token_plus_position_with_values_of_tokens() -> None:
    """q = W_q (x + p) + b_q and k likewise: the biases once, the same W for both; v from x alone."""
    attention = layer(CrossTerms())
    x, p = torch.randn(2, 6, 8, dtype=torch.float64), torch.randn(6, 8, dtype=torch.float64)
    projected = (attention.query(x + p), attention.key(x + p), attention.value(x))
    heads = Full()(*(rearrange(t, "b l (h d) -> b h l d", h=2) for t in projected))
    expected = attention.out(rearrange(heads, "b h l d -> b l (h d)"))
    torch.testing.assert_close(attention(x, p), expected)


CAUSAL = {
    "full": lambda: Full(causal=True),
    "probsparse": lambda: Sparse(length=10, causal=True, factor=2),
    "delta_v": lambda: DeltaV(length=10, causal=True, factor=2),
    "delta_v over full": lambda: DeltaV(length=10, causal=True, base="full"),
}


def decoder_layer(mechanism: nn.Module, mix: bool) -> DecoderLayer:
    torch.manual_seed(0)
    cross = CrossAttention(8, 2, Full())
    parts = (SelfAttention(8, 2, mechanism, mix), cross, FeedForward(8, 12, 2, 0.0, "gelu"), 0.0)
    return DecoderLayer(8, *parts).double().eval()


def future_gradient(block: DecoderLayer) -> float:
    """The largest gradient that any step's output has to a later step's input."""
    x = torch.randn(2, 10, 8, dtype=torch.float64, requires_grad=True)
    out = block(x, torch.randn(2, 4, 8, dtype=torch.float64), None)
    out = out @ torch.randn(8, dtype=torch.float64)  # the plain sum of a normalised step is constant
    rows = [torch.autograd.grad(out[:, i].sum(), x, retain_graph=True)[0][:, i + 1 :] for i in range(9)]
    return max(float(row.abs().max()) for row in rows)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_decoder_layer_is_causal_without_mix_and_not_with_it(name: str) -> None:
    assert future_gradient(decoder_layer(CAUSAL[name](), mix=False)) == 0
    assert future_gradient(decoder_layer(CAUSAL[name](), mix=True)) > 1e-3


@pytest.mark.parametrize("name", ["full", "delta_v over full"])
def test_changing_later_steps_changes_nothing_before(name: str) -> None:
    block = decoder_layer(CAUSAL[name](), mix=False)
    x, memory = torch.randn(2, 10, 8, dtype=torch.float64), torch.randn(2, 4, 8, dtype=torch.float64)
    later = x.clone()
    later[:, 6:] += torch.randn(2, 4, 8, dtype=torch.float64)
    before, after = block(x, memory, None), block(later, memory, None)
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=1e-12)
    assert (before[:, 6:] - after[:, 6:]).abs().max() > 1e-3


@pytest.mark.parametrize("mix", [False, True])
def test_the_last_steps_alone_are_the_last_steps_of_all(mix: bool) -> None:
    block = decoder_layer(Full(causal=True), mix)
    x, memory = torch.randn(2, 10, 8, dtype=torch.float64), torch.randn(2, 4, 8, dtype=torch.float64)
    torch.testing.assert_close(block(x, memory, None, last=3), block(x, memory, None)[:, -3:])


@pytest.mark.parametrize("aggregator", ATTENTION)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_pair_forecasts_and_trains_every_parameter(aggregator: str, encoding: str) -> None:
    if not fitting(aggregator, encoding):
        with pytest.raises(ValueError, match="none to give"):
            make(aggregator, encoding)
        return
    model = make(aggregator, encoding)
    forecast = model(*batch())
    assert forecast.shape == (BATCH, HORIZON, 3)
    forecast.square().sum().backward()
    untrained = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not untrained


@pytest.mark.parametrize("aggregator", ATTENTION)
def test_a_forecast_does_not_depend_on_the_others_in_the_batch(aggregator: str) -> None:
    model = make(aggregator).eval()
    x = batch()
    torch.testing.assert_close(model(*x)[:1], model(*(t[:1] for t in x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("encoding", "reads_time"), [("none", False), ("temporal", True), ("sinusoidal", True)]
)
def test_what_each_encoding_turns_on(encoding: str, reads_time: bool) -> None:
    """Other time features change the forecast only where the temporal embedding is on."""
    model = make("full", encoding).eval()
    x_enc, mark_enc, x_dec, mark_dec = batch()
    moved = model(x_enc, mark_enc + 0.3, x_dec, mark_dec - 0.3)
    assert (not torch.equal(moved, model(x_enc, mark_enc, x_dec, mark_dec))) == reads_time


def with_other_positions(model: Informer) -> Informer:
    for embedding in (model.enc_embedding, model.dec_embedding):
        embedding.encoding.table.normal_()
        embedding.encoding.compute = lambda length: torch.full((length, 16), 0.7)  # at the distilled length
    return model


@pytest.mark.parametrize(("terms", "moves"), [("token_token", False), ("pos_pos", True), ("all", True)])
def test_cross_terms_take_position_inside_and_never_at_the_input(terms: str, moves: bool) -> None:
    model = make("cross_terms", "sinusoidal", **{"aggregator.terms": terms}).eval()
    before = model(*batch())
    after = with_other_positions(model)(*batch())
    assert (not torch.equal(before, after)) == moves


def test_position_enters_each_self_attention_at_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = CrossTerms.forward

    def spy(self: CrossTerms, q: Tensor, k: Tensor, v: Tensor, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        assert q_pos.shape == k_pos.shape == q.shape[1:]
        seen.append(q_pos.shape[1])
        return original(self, q, k, v, q_pos, k_pos)

    monkeypatch.setattr(CrossTerms, "forward", spy)
    make("cross_terms", **{"model.e_layers": 3}).eval()(*batch())
    assert seen == [16, 8, 4, 11]


def test_resampling_decides_the_training_forecast() -> None:
    model = make("probsparse", **{"aggregator.factor": 1, "model.dropout": 0.0})
    samplers = [m for m in model.modules() if hasattr(m, "resample")]
    assert len(samplers) == 3

    def forecast(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        for sampler in samplers:
            sampler.resample(generator)
        return model(*batch())

    assert torch.equal(forecast(0), forecast(0)) and not torch.equal(forecast(0), forecast(1))
    model.eval()
    assert torch.equal(forecast(0), forecast(1))


@pytest.mark.parametrize("distil", [True, False])
def test_distilling_halves_the_memory(distil: bool) -> None:
    model = make(**{"model.distil": distil, "model.e_layers": 3}).eval()
    assert model.encode(*batch()[:2]).shape == (BATCH, 4 if distil else 16, 16)


def test_no_weight_decay_names_the_learned_positions() -> None:
    assert make(encoding="learned").no_weight_decay() == {
        "enc_embedding.encoding.table",
        "dec_embedding.encoding.table",
    }
    assert make().no_weight_decay() == set()


def test_the_dry_run_reads_the_settings_that_the_dataclass_has() -> None:
    read = declared.settings("models", "informer")
    assert {name: setting.default for name, setting in read.items()} == vars(Settings())
    assert list(read) == list(vars(Settings())) and all(setting.doc for setting in read.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.n_heads": 3}, "multiple of n_heads"),
        ({"model.activation": "tanh"}, "'gelu', 'relu'"),
        ({"label_length": 17}, "must not exceed input_length"),
        ({"aggregator": "prob_sparse"}, "valid: cross_terms, .*probsparse"),
        ({"aggregator.terms": "pos"}, "terms must be one of"),
    ],
)
def test_wrong_settings_are_answered(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**{"aggregator": "cross_terms", **change})


# Tracing takes five seconds each.
@pytest.mark.slow
@pytest.mark.parametrize("aggregator", ATTENTION)
def test_the_graph_is_whole(aggregator: str) -> None:
    """``torch.compile`` meets no break; the backend only traces, so that this needs no compiler."""
    model = make(aggregator).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*batch()), model(*batch()))


@pytest.mark.parametrize("aggregator", ATTENTION)
def test_bfloat16_autocast_stays_near_float32(aggregator: str) -> None:
    """With all queries kept, so that rounding changes no choice."""
    keep_all = {"aggregator.factor": 16} if aggregator in ("probsparse", "delta_v") else {}
    model = make(aggregator, **{"model.dropout": 0.0}, **keep_all)
    expected = model(*batch())
    with torch.autocast("cpu", torch.bfloat16):
        found = model(*batch())
    assert (found.float() - expected).norm() / expected.norm() < 0.03
    found.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("aggregator", ATTENTION)
def test_cuda_forecasts_as_the_cpu_and_trains_under_autocast(aggregator: str) -> None:
    model = make(aggregator).eval()
    expected = model(*batch())
    model.cuda()
    inputs = [t.cuda() for t in batch()]
    torch.testing.assert_close(model(*inputs).cpu(), expected, rtol=1e-3, atol=1e-4)
    with torch.autocast("cuda", torch.bfloat16):
        model.train()(*inputs).float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
