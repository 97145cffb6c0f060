"""The kernels of ``_probsparse_gpu.py`` in Triton, which torch brings where it is built for a GPU.

Imported on first use. All arithmetic is in single precision, products as well; exp(x) - 1 and log(1 + x) near 0 are
series, as a GPU's exponential and logarithm would lose there what the divergence is made of.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# (Triton reads a kernel's annotations itself: only constants have one.)

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_LARGEST = tl.constexpr(40.0)  # see kl_attention_uniform
_SCORES = 2048  # of one program: of so many queries as that makes with all sampled keys
_SAMPLES = 64  # of one program
# Lanes that add a product of their own to one of another's, rounded, would come to different sums of the same two, and
# equal samples to different scores, and to whichever of them is written last.
_OPTIONS = {"enable_fp_fusion": False}


def divergence(
    queries_bhnc: Tensor, samples_blhc: Tensor, sample: Tensor, columns: int, weight: Tensor
) -> Tensor:
    """One launch; see the operation."""
    batch, heads, length, channels = queries_bhnc.shape
    found_bhn = torch.empty(batch, heads, length, dtype=torch.float32, device=queries_bhnc.device)
    count = sample.shape[0]
    block_s = triton.next_power_of_2(count)
    block_n = _SCORES // block_s
    _divergence[(batch * heads, triton.cdiv(length, block_n))](
        queries_bhnc,
        samples_blhc,
        sample.contiguous(),
        weight,
        found_bhn,
        heads,
        length,
        count,
        7 * columns,
        channels**-0.5,
        *queries_bhnc.stride(),
        *samples_blhc.stride(),
        *weight.stride(),
        channels=channels,
        block_n=block_n,
        block_s=block_s,
        block_c=triton.next_power_of_2(channels),
        **_OPTIONS,
    )
    return found_bhn


def scores(
    queries_bhnc: Tensor, voters_bhu: Tensor, samples_blhc: Tensor, weight: Tensor, bias: Tensor, pool: str
) -> Tensor:
    """One launch; see the operation."""
    batch, length, heads, channels = samples_blhc.shape
    found_bhl = torch.empty(batch, heads, length, dtype=torch.float32, device=samples_blhc.device)
    _scores[(batch * heads, triton.cdiv(length, _SAMPLES))](
        queries_bhnc,
        voters_bhu.contiguous(),
        samples_blhc,
        weight,
        bias.contiguous(),
        found_bhl,
        heads,
        length,
        voters_bhu.shape[2],
        *queries_bhnc.stride(),
        *samples_blhc.stride(),
        *weight.stride(),
        pool_is_mean=pool == "mean",
        channels=channels,
        block_l=_SAMPLES,
        block_c=triton.next_power_of_2(channels),
        **_OPTIONS,
    )
    return found_bhl


@triton.jit
def _divergence(
    queries,
    samples,
    sample,
    weight,
    found,
    heads,
    length,
    count,
    row_length,
    scale,
    q_b,
    q_h,
    q_n,
    q_c,
    x_b,
    x_l,
    x_h,
    x_c,
    w_o,
    w_i,
    channels: tl.constexpr,
    block_n: tl.constexpr,
    block_s: tl.constexpr,
    block_c: tl.constexpr,
):
    """Of one image and head, for a block of its queries."""
    pair = tl.program_id(0).to(tl.int64)
    b, h = pair // heads, pair % heads
    n = tl.program_id(1) * block_n + tl.arange(0, block_n)
    s, c = tl.arange(0, block_s), tl.arange(0, block_c)
    is_query, is_key, is_channel = n < length, s < count, c < channels

    # Keys of the sampled places, counted by row, then column of the map there and by window here
    by_map = tl.load(sample + s, mask=is_key, other=0)
    row, column = by_map // row_length, by_map % row_length
    window = (row // 7) * (row_length // 7) + column // 7
    place = window * 49 + (row % 7) * 7 + column % 7
    x_sc = tl.load(
        samples + b * x_b + h * x_h + place[:, None] * x_l + c[None, :] * x_c,
        mask=is_key[:, None] & is_channel[None, :],
        other=0.0,
    ).to(tl.float32)
    # No tl.dot: on some GPUs it takes TF32 for what was half precision in memory, whatever it is told
    q_start = queries + b * q_b + h * q_h + n.to(tl.int64) * q_n
    scores_ns = tl.zeros((block_n, block_s), tl.float32)
    for o in range(channels):
        w_c = tl.load(weight + o * w_o + c * w_i, mask=is_channel, other=0.0).to(tl.float32)
        key_s = tl.sum(x_sc * w_c[None, :], axis=1)
        key_s = (key_s - tl.sum(key_s, axis=0) / count) * scale  # rows that are no key are 0 in the sum
        query_n = tl.load(q_start + o * q_c, mask=is_query, other=0.0).to(tl.float32)
        scores_ns += query_n[:, None] * key_s[None, :]
    largest_n = tl.max(tl.where(is_key[None, :], scores_ns, -float("inf")), axis=1)
    scores_ns = scores_ns - tl.maximum(largest_n - _LARGEST, 0.0)[:, None]
    growth_ns = _expm1(scores_ns)
    both_ns = tl.where(is_key[None, :], growth_ns * scores_ns + scores_ns, 0.0)
    excess_n = tl.sum(tl.where(is_key[None, :], growth_ns, 0.0), axis=1) / count
    kl_n = tl.sum(both_ns, axis=1) / count / (1 + excess_n) - _log1p(excess_n)
    tl.store(found + pair * length + n, kl_n, mask=is_query)


@triton.jit
def _scores(
    queries,
    voters,
    samples,
    weight,
    bias,
    found,
    heads,
    length,
    count,
    q_b,
    q_h,
    q_n,
    q_c,
    x_b,
    x_l,
    x_h,
    x_c,
    w_o,
    w_i,
    pool_is_mean: tl.constexpr,
    channels: tl.constexpr,
    block_l: tl.constexpr,
    block_c: tl.constexpr,
):
    """Of one image and head, for a block of its samples."""
    pair = tl.program_id(0).to(tl.int64)
    b, h = pair // heads, pair % heads
    place, c = tl.program_id(1) * block_l + tl.arange(0, block_l), tl.arange(0, block_c)
    is_sample, is_channel = place < length, c < channels
    w_oi = tl.load(
        weight + c[:, None] * w_o + c[None, :] * w_i,
        mask=is_channel[:, None] & is_channel[None, :],
        other=0.0,
    ).to(tl.float32)
    x_lc = tl.load(
        samples + b * x_b + h * x_h + place[:, None].to(tl.int64) * x_l + c[None, :] * x_c,
        mask=is_sample[:, None] & is_channel[None, :],
        other=0.0,
    ).to(tl.float32)
    q_start = queries + b * q_b + h * q_h + c * q_c
    # Equal samples score equal to the bit: the same operations in the same order, whichever their row
    if pool_is_mean:
        voter_c = tl.zeros((block_c,), tl.float32)
        for u in range(count):
            n = tl.load(voters + pair * count + u)
            voter_c += tl.load(q_start + n * q_n, mask=is_channel, other=0.0).to(tl.float32)
        folded_c = tl.sum((voter_c / count)[:, None] * w_oi, axis=0)
        scores_l = tl.sum(x_lc * folded_c[None, :], axis=1)
    else:
        bias_c = tl.load(bias + c, mask=is_channel, other=0.0).to(tl.float32)
        scores_l = tl.full((block_l,), -float("inf"), tl.float32)
        for u in range(count):
            n = tl.load(voters + pair * count + u)
            voter_c = tl.load(q_start + n * q_n, mask=is_channel, other=0.0).to(tl.float32)
            folded_c = tl.sum(voter_c[:, None] * w_oi, axis=0)
            score_l = tl.sum(x_lc * folded_c[None, :], axis=1) + tl.sum(voter_c * bias_c, axis=0)
            scores_l = tl.maximum(scores_l, score_l, propagate_nan=tl.PropagateNan.ALL)
    tl.store(found + pair * length + place, scores_l, mask=is_sample)


@triton.jit
def _expm1(x):
    """exp(x) - 1: near 0 by its Taylor series, to 2e-8 of the value."""
    series = 1.0 + x * (1.0 / 8)
    series = 1.0 + x * (1.0 / 7) * series
    series = 1.0 + x * (1.0 / 6) * series
    series = 1.0 + x * (1.0 / 5) * series
    series = 1.0 + x * (1.0 / 4) * series
    series = 1.0 + x * (1.0 / 3) * series
    series = 1.0 + x * (1.0 / 2) * series
    return tl.where(tl.abs(x) < 0.5, x * series, tl.exp(x) - 1.0)


@triton.jit
def _log1p(x):
    """log(1 + x): near 0 as 2 artanh(x / (2 + x)) by its series, to 1e-8 of the value."""
    z = x / (2.0 + x)
    z2 = z * z
    series = 1.0 + z2 * (1.0 / 3 + z2 * (1.0 / 5 + z2 * (1.0 / 7 + z2 * (1.0 / 9 + z2 * (1.0 / 11)))))
    return tl.where(tl.abs(x) < 0.5, 2.0 * z * series, tl.log(1.0 + x))
