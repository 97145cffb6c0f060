"""Each attention mechanism against its reference in float64, and the properties that tell them apart."""

from __future__ import annotations

import math
from itertools import combinations
from types import ModuleType
from typing import get_args

import pytest
import torch
from torch import Tensor

from favit.attention._sparse import ProbSparse, budget, sparsity
from favit.attention.cross_terms import TERMS, Terms
from favit.attention.cross_terms import Attention as CrossTerms
from favit.attention.delta_v import Attention as DeltaV
from favit.attention.full import Attention as Full
from favit.attention.probsparse import Attention as Sparse
from favit.components import registry

Heads = tuple[Tensor, Tensor, Tensor]
LENGTH = 14
EXACT = {"rtol": 0, "atol": 1e-12}
CAUSAL = pytest.mark.parametrize("causal", [False, True])


def keys_of(sparse: ProbSparse) -> list[list[int]]:
    """The keys on which each query is measured in evaluation."""
    return [list(range(LENGTH))] * LENGTH if sparse.exact else sparse.evaluation_keys.tolist()


@CAUSAL
def test_full_equals_reference(heads: Heads, reference: ModuleType, causal: bool) -> None:
    expected = reference.every_head(lambda b, h, q, k, v: reference.full(q, k, v, causal), *heads)
    torch.testing.assert_close(Full(causal=causal).eval()(*heads), expected, **EXACT)


@CAUSAL
@pytest.mark.parametrize("measure", ["max_mean", "kl_uniform_attention"])
@pytest.mark.parametrize("exact", [False, True])
def test_probsparse_equals_reference(
    heads: Heads, reference: ModuleType, causal: bool, measure: str, exact: bool
) -> None:
    sparse = Sparse(length=LENGTH, causal=causal, factor=2, measure=measure, exact=exact).eval()
    assert sparse.kept == 6  # 2 * ceil(ln 14)

    def one_head(b: int, h: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        kept = reference.kept_queries(q, k, keys_of(sparse), sparse.kept, measure)
        return reference.probsparse(q, k, v, causal, kept)

    torch.testing.assert_close(sparse(*heads), reference.every_head(one_head, *heads), **EXACT)


def test_kl_uniform_attention_is_the_divergence_of_uniform_from_attention() -> None:
    """ln L more than D_KL(U || P) = sum_j U ln(U / P_j), and not D_KL(P || U)."""
    scores = 3 * torch.randn(4, 9, dtype=torch.float64)
    for row, ours in zip(scores, sparsity(scores, "kl_uniform_attention", 9), strict=True):
        p = [math.exp(s) / sum(map(math.exp, row.tolist())) for s in row.tolist()]
        uniform_attention = sum(math.log(1 / 9 / x) / 9 for x in p)
        assert ours.item() == pytest.approx(uniform_attention + math.log(9))
        assert ours.item() != pytest.approx(sum(x * math.log(9 * x) for x in p) + math.log(9), rel=1e-3)


def test_the_measures_differ(heads: Heads) -> None:
    kept = {
        (measure, exact): Sparse(length=LENGTH, factor=1, measure=measure, exact=exact)
        .eval()
        .select(*heads[:2])
        for measure in ("max_mean", "kl_uniform_attention")
        for exact in (False, True)
    }
    chosen = {key: tuple(value.sort(-1).values.flatten().tolist()) for key, value in kept.items()}
    assert len(set(chosen.values())) == 4


@CAUSAL
def test_probsparse_that_keeps_all_queries_is_full_attention(heads: Heads, causal: bool) -> None:
    sparse = Sparse(length=LENGTH, causal=causal, factor=LENGTH).eval()
    torch.testing.assert_close(sparse(*heads), Full(causal=causal).eval()(*heads), **EXACT)


@pytest.mark.parametrize(
    ("length", "kept"), [(1, 1), (2, 2), (20, 15), (64, 25), (32, 20), (72, 25), (720, 35)]
)
def test_budget_of_queries(length: int, kept: int) -> None:
    """min(L, 5 ceil(ln L)), as in the authors' code."""
    assert budget(5, length) == kept


def test_sampling_is_by_generator_in_training_and_fixed_in_evaluation(heads: Heads) -> None:
    def outputs(seed: int, train: bool) -> list[Tensor]:
        sparse = Sparse(length=LENGTH, factor=1).train(train)
        generator = torch.Generator().manual_seed(seed)
        found = []
        for _ in range(3):
            sparse.resample(generator)
            found.append(sparse(*heads))
        return found

    before = torch.get_rng_state()
    first, again, other = outputs(0, True), outputs(0, True), outputs(1, True)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])
    still = outputs(0, False)
    assert torch.equal(still[0], still[2]) and torch.equal(still[0], outputs(5, False)[0])
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"


def test_exact_measure_has_nothing_to_sample(heads: Heads) -> None:
    sparse = Sparse(length=LENGTH, factor=1, exact=True).train()
    first = sparse(*heads)
    sparse.resample(torch.Generator().manual_seed(3))
    assert torch.equal(first, sparse(*heads))


def test_sampled_keys_are_in_no_checkpoint() -> None:
    assert not Sparse(length=LENGTH).state_dict()


@CAUSAL
def test_delta_v_over_full_equals_reference(heads: Heads, reference: ModuleType, causal: bool) -> None:
    def one_head(b: int, h: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return reference.delta_v(reference.weights(q, k, causal), v)

    attention = DeltaV(length=LENGTH, causal=causal, base="full").eval()
    torch.testing.assert_close(attention(*heads), reference.every_head(one_head, *heads), **EXACT)


@CAUSAL
def test_delta_v_over_probsparse_equals_reference(heads: Heads, reference: ModuleType, causal: bool) -> None:
    """The weights of a query that is not kept are 1/L on each change, or 1 on each change so far."""
    attention = DeltaV(length=LENGTH, causal=causal, factor=2).eval()
    assert attention.sparse is not None
    keys, n = keys_of(attention.sparse), attention.sparse.kept

    def one_head(b: int, h: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        a = reference.weights(q, k, causal)
        for i in set(range(LENGTH)) - set(reference.kept_queries(q, k, keys, n, "max_mean")):
            a[i] = (torch.arange(LENGTH) <= i).double() if causal else 1 / LENGTH
        return reference.delta_v(a, v)

    torch.testing.assert_close(attention(*heads), reference.every_head(one_head, *heads), **EXACT)


def test_order_matters_to_delta_v_alone(heads: Heads) -> None:
    """Permuting the steps permutes full attention's output; delta-V's differs."""
    order = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(1))
    permuted = tuple(t[:, :, order] for t in heads)
    full, delta = Full().eval(), DeltaV(length=LENGTH, base="full").eval()
    torch.testing.assert_close(full(*permuted), full(*heads)[:, :, order], **EXACT)
    assert (delta(*permuted) - delta(*heads)[:, :, order]).abs().max() > 0.1


def positions() -> tuple[Tensor, Tensor]:
    """Position parts of queries and keys: (3, 14, 4) each."""
    generator = torch.Generator().manual_seed(11)
    q, k = (torch.randn(3, LENGTH, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    return q, k


@CAUSAL
@pytest.mark.parametrize("terms", get_args(Terms))
def test_cross_terms_equal_reference(heads: Heads, reference: ModuleType, causal: bool, terms: str) -> None:
    q_pos, k_pos = positions()
    chosen = TERMS if terms == "all" else terms.split("+")

    def one_head(b: int, h: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        queries = {"token": q, "pos": q_pos[h]}
        keys = {"token": k, "pos": k_pos[h]}
        scores = torch.zeros(LENGTH, LENGTH, dtype=torch.float64)
        for term in chosen:
            of_query, of_key = term.split("_")
            scores += queries[of_query] @ keys[of_key].T / 2  # sqrt(d) = 2
        return reference.weights(q, k, causal, scores) @ v

    attention = CrossTerms(causal=causal, terms=terms).eval()
    out = attention(*heads, q_pos, k_pos)
    torch.testing.assert_close(out, reference.every_head(one_head, *heads), **EXACT)


def test_the_four_terms_add_up_to_ordinary_attention(heads: Heads) -> None:
    q, k, v = heads
    q_pos, k_pos = positions()
    attention = CrossTerms().eval()
    ordinary = Full().eval()(q + q_pos, k + k_pos, v)
    torch.testing.assert_close(attention(*heads, q_pos, k_pos), ordinary, **EXACT)
    scores = attention.scores(q, k, q_pos, k_pos)
    assert tuple(scores) == TERMS
    torch.testing.assert_close(sum(scores.values()), (q + q_pos) @ (k + k_pos).mT / 2, **EXACT)


def test_every_choice_of_terms_has_exactly_one_name() -> None:
    subsets = ["+".join(c) for n in range(1, 4) for c in combinations(TERMS, n)]
    assert sorted(get_args(Terms)) == sorted(["all", *subsets])


CAUSALLY_SAFE = {
    "full": lambda: Full(causal=True),
    "probsparse": lambda: Sparse(length=LENGTH, causal=True, factor=2),
    "delta_v": lambda: DeltaV(length=LENGTH, causal=True, factor=2),
    "delta_v over full": lambda: DeltaV(length=LENGTH, causal=True, base="full"),
    "cross_terms": lambda: CrossTerms(causal=True),
}


def call(attention: torch.nn.Module, heads: Heads) -> Tensor:
    extra = positions() if isinstance(attention, CrossTerms) else ()
    return attention(*heads, *extra)


@pytest.mark.parametrize("name", CAUSALLY_SAFE)
def test_no_gradient_reaches_a_later_step(heads: Heads, name: str) -> None:
    inputs = tuple(t.clone().requires_grad_() for t in heads)
    out = call(CAUSALLY_SAFE[name]().eval(), inputs)
    for i in range(LENGTH):
        gradients = torch.autograd.grad(out[:, :, i].sum(), inputs, retain_graph=True)
        assert all(g[:, :, i + 1 :].count_nonzero() == 0 for g in gradients), i
        assert gradients[2][:, :, i].count_nonzero() > 0, "its own value must reach it"


@pytest.mark.parametrize("name", ["full", "delta_v over full", "cross_terms"])
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_changing_later_steps_changes_nothing_before(heads: Heads, name: str, changed: int) -> None:
    attention = CAUSALLY_SAFE[name]().eval()
    split = 8
    later = [t.clone() for t in heads]
    later[changed][:, :, split:] += 3
    before, after = call(attention, heads), call(attention, (later[0], later[1], later[2]))
    torch.testing.assert_close(before[:, :, :split], after[:, :, :split], **EXACT)
    assert (before[:, :, split:] - after[:, :, split:]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["full", "delta_v", "cross_terms"])
def test_dropout_falls_on_the_weights_in_training_only(heads: Heads, name: str) -> None:
    settings = {"base": "full"} if name == "delta_v" else {}
    attention = registry.load("attention", name).Attention(length=LENGTH, dropout=0.5, **settings)
    torch.manual_seed(0)
    assert not torch.equal(call(attention.train(), heads), call(attention, heads))
    assert torch.equal(call(attention.eval(), heads), call(attention, heads))


def test_wrong_settings_name_the_valid_ones(heads: Heads) -> None:
    with pytest.raises(ValueError, match="'max_mean', 'kl_uniform_attention'"):
        Sparse(length=4, measure="max")
    with pytest.raises(ValueError, match="'kl_uniform_attention', not 'kl'"):
        Sparse(length=4, measure="kl")  # as it was called before
    with pytest.raises(ValueError, match="at least 1"):
        Sparse(length=4, factor=0)
    with pytest.raises(ValueError, match="'probsparse', 'full'"):
        DeltaV(length=4, base="sparse")
    with pytest.raises(ValueError, match="pos_pos"):
        CrossTerms(terms="pos_pos+token_token")
    with pytest.raises(ValueError, match=r"expected \(b h l d\), .* with l = 9; got \("):
        Sparse(length=9)(*heads)


def test_wrong_shapes_are_shown_beside_the_pattern() -> None:
    q, k, v = torch.zeros(2, 3, 9, 4), torch.zeros(2, 3, 8, 4), torch.zeros(2, 3, 9, 5)
    with pytest.raises(
        ValueError, match=r"delta_v: expected \(b h l d\), .*; got \(2, 3, 9, 4\), \(2, 3, 8, 4\)"
    ):
        DeltaV(length=9)(q, k, v)
    with pytest.raises(ValueError, match=r"full: expected \(b h l d\), \(b h s d\), \(b h s e\); got"):
        Full()(q, k, v)
