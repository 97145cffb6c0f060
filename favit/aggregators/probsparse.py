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
from favit.aggregators._voting import pooled_scores, queries_at, sparsest
from favit.components.bounds import AtLeast
from favit.components.checks import checked

_SAMPLES = 5  # sampled keys: 5 ceil(ln L_K)


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
            _, places_bht = self._chosen(samples_blhc, queries, key_map, grid)
        return at(samples_blhc, places_bht)

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
        return self._chosen(samples_blhc, queries_bhnc, key_map, grid)[0]

    def _chosen(
        self, samples_blhc: Tensor, queries_bhnc: Tensor, key_map: KeyMap, grid: Grid
    ) -> tuple[Tensor, Tensor]:
        """What ``select`` returns, and the same places counted by window."""
        samples_blhc, queries_bhnc = samples_blhc.detach(), queries_bhnc.detach()
        weight, bias = (full(x) for x in key_map())
        sample = None if self.measure == "exact" else self._sample(samples_blhc.shape[1])
        count = self.voters(queries_bhnc.shape[2])
        if sample is not None and queries_bhnc.is_cuda:
            from favit.aggregators import _probsparse_gpu as gpu

            if gpu.serve(queries_bhnc, samples_blhc, sample.shape[0]):
                measure_bhn = gpu.divergence(queries_bhnc, samples_blhc, sample, grid[1], weight)
                key = (weight, bias)
                return gpu.choice(queries_bhnc, measure_bhn, samples_blhc, key, grid, count, self.pool)
        samples_blhc, queries_bhnc = full(samples_blhc), full(queries_bhnc)
        sampled_blhc = (
            samples_blhc if sample is None else samples_blhc.index_select(1, self._in_windows(sample, grid))
        )
        keys_bhlc = (sampled_blhc @ weight.T).transpose(1, 2)  # the bias shifts all of a query's scores alike
        voters_bhuc = queries_at(queries_bhnc, sparsest(queries_bhnc, keys_bhlc, count))
        chosen_bht = top(pooled_scores(samples_blhc, voters_bhuc, weight, bias, self.pool), grid)
        return chosen_bht, self._in_windows(chosen_bht, grid)

    def _sample(self, count: int) -> Tensor:
        if count != self.keys:
            return evenly_spread(count).to(self.training_sample.device)
        return self.training_sample if self.training else self.evaluation_sample

    def _in_windows(self, index: Tensor, grid: Grid) -> Tensor:
        return self.places[index] if grid == self.square else in_windows(index, grid)


def sample_size(keys: int) -> int:
    """The number of keys that the measure samples: min(L_K, 5 ceil(ln L_K))."""
    return min(keys, _SAMPLES * math.ceil(math.log(keys)))


def evenly_spread(keys: int) -> Tensor:
    """A fixed sample of distinct key indices, spread over all of them."""
    size = sample_size(keys)
    return torch.tensor([(2 * i + 1) * keys // (2 * size) for i in range(size)])
