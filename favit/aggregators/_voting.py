"""Which queries vote for samples, by how far their attention is from uniform, and what their votes are."""

from __future__ import annotations

import torch
from torch import Tensor

_LARGEST = (
    40.0  # its exponential, times itself and summed over all keys, is far from overflow in single precision
)
_QUERIES_AT_ONCE = 1024  # bounds the memory of the exact measure
_JUST_BELOW_ONE = 1 - 2.0**-24  # its logarithm is finite where t is 0; to first order it cancels


def queries_at(queries_bhnc: Tensor, index_bhu: Tensor) -> Tensor:
    """The queries (B, heads, U, c) at these places."""
    return queries_bhnc.gather(2, index_bhu.unsqueeze(3).expand(-1, -1, -1, queries_bhnc.shape[3]))


def pooled_scores(
    samples_blhc: Tensor, voters_bhuc: Tensor, weight: Tensor, bias: Tensor, pool: str
) -> Tensor:
    """The voters' scores of each key before softmax, their ``mean`` or ``max`` over voters: (B, heads, L)."""
    if pool == "mean":
        # The mean is linear: queries are pooled before the product with the keys. The key map is folded
        # into them; its bias is the same for all keys. A sum of products, not a matrix product, so that
        # equal samples, which padding makes, score equal to the bit and the tie goes to the lower index.
        voter_bhc = voters_bhuc.mean(dim=2) @ weight
        return (samples_blhc * voter_bhc.unsqueeze(1)).sum(dim=3).transpose(1, 2)
    offset_bhu = voters_bhuc @ bias
    folded_bhuc = voters_bhuc @ weight
    scores = [
        (samples_blhc * folded_bhuc[:, :, u].unsqueeze(1)).sum(dim=3) + offset_bhu[:, :, u].unsqueeze(1)
        for u in range(folded_bhuc.shape[2])
    ]
    return torch.stack(scores).amax(dim=0).transpose(1, 2)


def sparsest(queries_bhnc: Tensor, keys_bhlc: Tensor, count: int) -> Tensor:
    """The ``count`` queries (B, heads, count) whose attention diverges most from uniform attention, by index."""
    return kl_attention_uniform(queries_bhnc, keys_bhlc).topk(count, dim=2).indices


def kl_attention_uniform_in_few_launches(queries_bhnc: Tensor, keys_bhlc: Tensor) -> Tensor:
    """What ``kl_attention_uniform`` computes, of few keys in 7 launches in place of 16 and two thirds of the traffic.

    With t = L P_i(j), the divergence is the mean over j of t log t - t + 1: no large term cancels, however close to
    uniform attention is, where the logarithm is taken of t - 1. P_i, of softmax, does not overflow.
    """
    batch, heads, _, channels = queries_bhnc.shape
    queries_xnc, keys_xlc = queries_bhnc.flatten(0, 1), keys_bhlc.flatten(0, 1)
    nothing = keys_xlc.new_empty(())  # beta is 0: not read
    p_xnl = torch.baddbmm(nothing, queries_xnc, keys_xlc.mT, beta=0, alpha=channels**-0.5).softmax(dim=2)
    excess_xnl = torch.rsub(p_xnl, -_JUST_BELOW_ONE, alpha=-keys_xlc.shape[1])  # t - 1
    logs_xn = torch.special.xlog1py(p_xnl, excess_xnl).sum(dim=2)
    return (logs_xn - excess_xnl.mean(dim=2)).unflatten(0, (batch, heads))


def kl_attention_uniform(queries_bhnc: Tensor, keys_bhlc: Tensor) -> Tensor:
    """D_KL(P_i || U) = log L + sum_j P_i(j) log P_i(j) of each query (B, heads, N); P_i is its attention, U uniform.

    The divergence in the study's order; that of Informer's equation 2 is D_KL(U || P_i), which its attention calls
    ``kl_uniform_attention``. L is the number of keys given, a sample or all. Computed from scores less their mean,
    so that nearly uniform attention, as before training, is told from uniform attention: log L and the entropy
    cancel to all digits there. Where the largest exceeds ``_LARGEST`` all scores of the query are lowered alike,
    which P_i does not see.
    """
    scale = queries_bhnc.shape[3] ** -0.5
    keys_bhcl = (keys_bhlc - keys_bhlc.mean(dim=2, keepdim=True)).transpose(2, 3) * scale
    parts = []
    for part_bhnc in queries_bhnc.split(_QUERIES_AT_ONCE, dim=2):
        scores = part_bhnc @ keys_bhcl
        scores = scores - (scores.amax(dim=3, keepdim=True) - _LARGEST).clamp(min=0)
        growth = scores.expm1()
        excess = growth.mean(dim=3)  # mean exp(score) - 1
        parts.append((growth * scores + scores).mean(dim=3) / (1 + excess) - excess.log1p())
    return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
