"""ProbSparse fusion: of all windows, the 49 samples that the queries of sparsest attention score highest.

Sparsity measure and sampling follow Informer (Zhou et al. 2021, section 3.1, equations 2 to 4); its use in place
of a pool over windows follows the FaViT-ProbSparse study.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap
from favit.aggregators._selection import (
    POSITIONS,
    at,
    by_window,
    fill,
    full,
    in_windows,
    top,
    without_autocast,
)
from favit.components.bounds import AtLeast
from favit.components.checks import checked

_SAMPLES = 5  # sampled keys: 5 ceil(ln L_K)
_LARGEST = (
    40.0  # its exponential, times itself and summed over all keys, is far from overflow in single precision
)
_QUERIES_AT_ONCE = 1024  # bounds the memory of the exact measure
_FEW_KEYS = 128  # up to so many a GPU takes all queries at once, in a few launches
_JUST_BELOW_ONE = 1 - 2.0**-24  # its logarithm is finite where t is 0; to first order it cancels


class Aggregator(nn.Module):
    """Selects, per image and head, the 49 samples whose keys score highest with the sparsest queries.

    The selection has no gradient; the gathered samples have. With one window it is the identity.

    Sampled keys are fixed in evaluation. In training they are those of the last ``resample``, so a training
    loop calls that before each step; without it they stay fixed as well. With another number of windows than
    the model was built for they are always fixed and evenly spread.

    ``factor``: the c of c ceil(ln N) queries that vote; Informer uses 5. ``measure``: on sampled keys, or on all.
    ``pool``: how a key's scores of the voting queries become one.
    """

    @checked
    def __init__(
        self,
        channels: int,
        heads: int,
        windows: int,
        *,
        factor: Annotated[int, AtLeast(1)] = 1,
        measure: Literal["sampled", "exact"] = "sampled",
        pool: Literal["mean", "max"] = "mean",
    ) -> None:
        super().__init__()
        self.factor, self.measure, self.pool = factor, measure, pool
        self.keys = windows * POSITIONS
        self.register_buffer("evaluation_sample", evenly_spread(self.keys), persistent=False)
        self.register_buffer("training_sample", evenly_spread(self.keys), persistent=False)
        # Where samples counted by map stand by window: of square images, which are the usual ones, kept
        side = math.isqrt(windows)
        self.square = (side, side) if side**2 == windows else None
        places = in_windows(torch.arange(self.keys if self.square else 0), self.square or (0, 0))
        self.register_buffer("places", places, persistent=False)

    evaluation_sample: Tensor
    training_sample: Tensor
    places: Tensor

    def resample(self, generator: torch.Generator) -> None:
        """Draw the sampled keys of the next training step from a CPU generator, without replacement."""
        sample = torch.randperm(self.keys, generator=generator)[: sample_size(self.keys)]
        fill(self.training_sample, sample)

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        if samples.shape[3] == 1:
            return samples.squeeze(3)
        samples_blhc = by_window(samples)
        with torch.no_grad(), without_autocast(samples.device):
            chosen_bht = self.select(full(samples_blhc), full(queries), key_map, grid)
        return at(samples_blhc, self._in_windows(chosen_bht, grid))

    def elementwise_macs(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> int:
        """Multiply-accumulates of ``forward`` that are written as elementwise products or a matrix times a vector."""
        batch, heads, positions, windows, channels = samples.shape
        if windows == 1:
            return 0
        keys = windows * positions
        sampled = keys if self.measure == "exact" else sample_size(keys)
        voters = self.voters(queries.shape[2])
        entropy = queries.shape[2] * sampled
        scores = keys * channels if self.pool == "mean" else voters * (keys + 1) * channels
        return batch * heads * (entropy + scores) + channels**2

    def voters(self, queries: int) -> int:
        """The number of queries that vote: min(L_Q, max(1, c ceil(ln L_Q)))."""
        return min(queries, max(1, self.factor * math.ceil(math.log(queries))))

    def select(self, samples_blhc: Tensor, queries_bhnc: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """The 49 chosen samples (B, heads, 49), ascending, counted by row then column of the padded map.

        ``samples_blhc`` (B, windows x 49, heads, channels) counts windows, then positions within a window.
        """
        weight, bias = (full(x) for x in key_map())
        count = samples_blhc.shape[1]
        sample = None if self.measure == "exact" else self._in_windows(self._sample(count), grid)
        sampled_blhc = samples_blhc if sample is None else samples_blhc.index_select(1, sample)
        keys_bhlc = (sampled_blhc @ weight.T).transpose(1, 2)  # the bias shifts all of a query's scores alike
        top_bhu = sparsest(queries_bhnc, keys_bhlc, self.voters(queries_bhnc.shape[2]))
        voters_bhuc = queries_bhnc.gather(2, top_bhu.unsqueeze(3).expand(-1, -1, -1, queries_bhnc.shape[3]))
        scores_bhl = self._scores(samples_blhc, voters_bhuc, weight, bias)
        return top(scores_bhl, grid)

    def _sample(self, count: int) -> Tensor:
        if count != self.keys:
            return evenly_spread(count).to(self.training_sample.device)
        return self.training_sample if self.training else self.evaluation_sample

    def _in_windows(self, index: Tensor, grid: Grid) -> Tensor:
        return self.places[index] if grid == self.square else in_windows(index, grid)

    def _scores(self, samples_blhc: Tensor, voters_bhuc: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The voters' scores of each key before softmax, pooled over voters: (B, heads, L)."""
        if self.pool == "mean":
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
    few = queries_bhnc.is_cuda and keys_bhlc.shape[2] <= _FEW_KEYS
    divergence = kl_attention_uniform_in_few_launches if few else kl_attention_uniform
    return divergence(queries_bhnc, keys_bhlc).topk(count, dim=2).indices


def kl_attention_uniform_in_few_launches(queries_bhnc: Tensor, keys_bhlc: Tensor) -> Tensor:
    """What ``kl_attention_uniform`` computes, for a GPU: 7 launches in place of 16, two thirds of the traffic.

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


def sample_size(keys: int) -> int:
    """The number of keys that the measure samples: min(L_K, 5 ceil(ln L_K))."""
    return min(keys, _SAMPLES * math.ceil(math.log(keys)))


def evenly_spread(keys: int) -> Tensor:
    """A fixed sample of distinct key indices, spread over all of them."""
    size = sample_size(keys)
    return torch.tensor([(2 * i + 1) * keys // (2 * size) for i in range(size)])
