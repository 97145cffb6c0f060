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
_CHOSEN = tl.constexpr(49)
# Lanes that add a product of their own to one of another's, rounded, would come to different sums of the same two.
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


def choice(
    queries_bhnc: Tensor,
    divergence_bhn: Tensor,
    samples_blhc: Tensor,
    weight: Tensor,
    bias: Tensor,
    columns: int,
    voters: int,
    pool: str,
) -> tuple[Tensor, Tensor]:
    """One launch; see the operation."""
    batch, keys, heads, channels = samples_blhc.shape
    by_map, by_window = (
        torch.empty(batch, heads, _CHOSEN.value, dtype=torch.int64, device=samples_blhc.device)
        for _ in range(2)
    )
    length = queries_bhnc.shape[2]
    block_n, block_l = triton.next_power_of_2(length), triton.next_power_of_2(keys)
    _choice[(batch * heads,)](
        queries_bhnc,
        divergence_bhn.contiguous(),
        samples_blhc,
        weight,
        bias.contiguous(),
        by_map,
        by_window,
        heads,
        length,
        keys,
        voters,
        7 * columns,
        *queries_bhnc.stride(),
        *samples_blhc.stride(),
        *weight.stride(),
        pool_is_mean=pool == "mean",
        channels=channels,
        block_n=block_n,
        block_l=block_l,
        block_c=triton.next_power_of_2(channels),
        num_warps=warps(block_n, block_l),
        **_OPTIONS,
    )
    return by_map, by_window


def warps(block_n: int, block_l: int, *_: object) -> int:
    """Of a program that holds so many queries and samples: up to 4,096 no register is spilled."""
    return min(16, max(4, block_n // 512, block_l // 512))


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
    place = _by_window(by_map, row_length)
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
def _choice(
    queries,
    divergence,
    samples,
    weight,
    bias,
    by_map,
    by_window,
    heads,
    length,
    keys,
    count,
    row_length,
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
    block_n: tl.constexpr,
    block_l: tl.constexpr,
    block_c: tl.constexpr,
):
    """Of one image and head: all its queries, all its samples."""
    pair = tl.program_id(0).to(tl.int64)
    b, h = pair // heads, pair % heads
    n, m, c = tl.arange(0, block_n), tl.arange(0, block_l), tl.arange(0, block_c)
    is_query, is_sample, is_channel = n < length, m < keys, c < channels
    place = _by_window(m, row_length)
    q_start = queries + b * q_b + h * q_h + c * q_c
    x_start = samples + b * x_b + h * x_h + place.to(tl.int64) * x_l

    # The queries that vote, one after another, of equal ones the first
    left_n = _ordered(tl.load(divergence + pair * length + n, mask=is_query, other=0.0))
    left_n = tl.where(is_query, left_n, 0)
    voter_c = tl.zeros((block_c,), tl.float32)
    scores_m = tl.full((block_l,), -float("inf"), tl.float32)
    for _ in range(count):
        largest = tl.max(left_n, axis=0)
        voter = tl.min(tl.where(left_n == largest, n, block_n), axis=0)
        left_n = tl.where(n == voter, 0, left_n)
        query_c = tl.load(q_start + voter.to(tl.int64) * q_n, mask=is_channel, other=0.0).to(tl.float32)
        if pool_is_mean:
            voter_c += query_c
        else:
            bias_c = tl.load(bias + c, mask=is_channel, other=0.0).to(tl.float32)
            score_m = _products(x_start, x_c, is_sample, query_c, weight, w_o, w_i, channels, block_c)
            score_m += tl.sum(query_c * bias_c, axis=0)
            scores_m = tl.maximum(scores_m, score_m, propagate_nan=tl.PropagateNan.ALL)
    if pool_is_mean:
        scores_m = _products(x_start, x_c, is_sample, voter_c / count, weight, w_o, w_i, channels, block_c)

    # The 49th score from above, bit by bit; above it all are taken, and of its equals the first by map
    scores_m = tl.where(is_sample, _ordered(scores_m), 0)
    edge = tl.full((), 0, tl.uint32)
    for bit in range(32):
        higher = edge | (1 << (31 - bit))
        enough = tl.sum((scores_m >= higher).to(tl.int32), axis=0) >= _CHOSEN
        edge = tl.where(enough, higher, edge).to(tl.uint32)
    above, equal = scores_m > edge, scores_m == edge
    wanted = _CHOSEN - tl.sum(above.to(tl.int32), axis=0)
    chosen = above | (equal & (tl.cumsum(equal.to(tl.int32), axis=0) <= wanted))
    order = tl.cumsum(chosen.to(tl.int32), axis=0) - 1
    tl.store(by_map + pair * _CHOSEN + order, m.to(tl.int64), mask=chosen)
    tl.store(by_window + pair * _CHOSEN + order, place.to(tl.int64), mask=chosen)


@triton.jit
def _products(start, stride, mask, query_c, weight, w_o, w_i, channels: tl.constexpr, block_c: tl.constexpr):
    """Of a query, folded with the key map, and each sample. Equal samples have equal ones to the bit."""
    c = tl.arange(0, block_c)
    found = tl.zeros(mask.shape, tl.float32)
    for i in range(channels):
        w_c = tl.load(weight + c * w_o + i * w_i, mask=c < channels, other=0.0).to(tl.float32)
        x = tl.load(start + i * stride, mask=mask, other=0.0).to(tl.float32)
        found += x * tl.sum(query_c * w_c, axis=0)
    return found


@triton.jit
def _by_window(by_map, row_length):
    """Counted by window, then position: what is counted by row, then column of the map."""
    row, column = by_map // row_length, by_map % row_length
    window = (row // 7) * (row_length // 7) + column // 7
    return window * 49 + (row % 7) * 7 + column % 7


@triton.jit
def _ordered(x):
    """Unsigned integers above 0 in the order of numbers, those that are none above all, 0 as -0."""
    bits = tl.where(x == 0, 0.0, x).to(tl.uint32, bitcast=True)
    ordered = tl.where(bits >> 31 == 0, bits | 0x80000000, bits ^ 0xFFFFFFFF)
    return tl.where(x == x, ordered, 0xFFFFFFFF).to(tl.uint32)


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
