"""The mechanisms written out as loops in float64: slow, and hard to get wrong."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def weights(q_ld: Tensor, k_sd: Tensor, causal: bool, scores: Tensor | None = None) -> Tensor:
    """Softmax over the keys that each query may see, one query at a time: (L, S)."""
    if scores is None:
        scores = q_ld @ k_sd.T / math.sqrt(q_ld.shape[-1])
    out = torch.zeros_like(scores)
    for i in range(scores.shape[0]):
        seen = i + 1 if causal else scores.shape[1]
        e = torch.exp(scores[i, :seen])
        out[i, :seen] = e / e.sum()
    return out


def full(q_ld: Tensor, k_sd: Tensor, v_se: Tensor, causal: bool) -> Tensor:
    """Full attention of one head."""
    return weights(q_ld, k_sd, causal) @ v_se


def kept_queries(q_ld: Tensor, k_ld: Tensor, keys: list[list[int]], kept: int, measure: str) -> list[int]:
    """The ``kept`` queries of the highest measure, ``keys[i]`` being those on which query i is measured."""
    length, dim = q_ld.shape
    found = []
    for i in range(length):
        s = torch.stack([q_ld[i] @ k_ld[j] for j in keys[i]])
        if measure == "kl_uniform_attention":
            s = s / math.sqrt(dim)
            found.append(torch.log(torch.exp(s).sum()) - s.mean())
        else:
            found.append(s.max() - s.sum() / length)
    return sorted(range(length), key=lambda i: -found[i])[:kept]


def probsparse(q_ld: Tensor, k_ld: Tensor, v_le: Tensor, causal: bool, kept: list[int]) -> Tensor:
    """Kept queries attend; the others get the mean of all values or, causal, the sum of those so far."""
    a = weights(q_ld, k_ld, causal)
    out = torch.empty_like(v_le)
    for i in range(v_le.shape[0]):
        if i in kept:
            out[i] = a[i] @ v_le
        else:
            out[i] = v_le[: i + 1].sum(0) if causal else v_le.mean(0)
    return out


def delta_v(a_ll: Tensor, v_le: Tensor) -> Tensor:
    """``V_i = v_i + sum_{j >= 2} a_ij (v_j - v_{j-1})`` (j from 1), term by term."""
    out = v_le.clone()
    for i in range(v_le.shape[0]):
        for j in range(1, v_le.shape[0]):
            out[i] += a_ll[i, j] * (v_le[j] - v_le[j - 1])
    return out


def every_head(one_head, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """Apply ``one_head(b, h, q, k, v)`` to each head of each example."""
    batch, heads = q.shape[:2]
    rows = [
        torch.stack([one_head(b, h, q[b, h], k[b, h], v[b, h]) for h in range(heads)]) for b in range(batch)
    ]
    return torch.stack(rows)
