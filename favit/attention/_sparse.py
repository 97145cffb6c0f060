"""ProbSparse self-attention (Zhou et al. 2021, "Informer", arXiv 2012.07436, section 3.1, Algorithm 1)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from favit.attention._softmax import softmax_attention
from favit.components.checks import check_shapes

Measure = Literal["max_mean", "kl_uniform_attention"]

# Evaluation samples the same keys in every process: a fixed seed, of no meaning.
_EVALUATION_SEED = 0


def budget(factor: int, length: int) -> int:
    """Queries kept, and keys sampled a query: ``factor * ceil(ln length)``, from 1 to ``length``."""
    return min(length, max(1, factor * math.ceil(math.log(length))))


def sparsity(scores_bhlu: Tensor, measure: Measure, n_keys: int) -> Tensor:
    """The distance of each query's attention from uniform, by its scores to some or all keys: (B, H, L).

    ``max_mean``: ``max_j s_j - (1/L_K) sum_j s_j``, the division being by the number of
    all keys even where only a sample is summed, as the authors' code has it.
    ``kl_uniform_attention``: ``ln sum_j exp s_j - mean_j s_j`` of the scores given, which must be scaled, unlike
    for the other. It is the paper's M(q, K) (equation 2): D_KL(U || P) of the uniform distribution U from the
    attention P, and ln L. (The aggregator ``probsparse`` measures D_KL(P || U).)
    """
    if measure == "kl_uniform_attention":
        return scores_bhlu.logsumexp(-1) - scores_bhlu.mean(-1)
    return scores_bhlu.amax(-1) - scores_bhlu.sum(-1) / n_keys


class ProbSparse(nn.Module):
    """The ``factor * ceil(ln L)`` queries of the highest sparsity attend; the others get a default.

    The default is the mean of all values, in a causal layer the cumulative sum
    up to the query's position. There is no dropout on the weights, as published.

    The measure is taken from ``factor * ceil(ln L)`` keys drawn for each query
    with replacement, the same for every example and head, or with ``exact``
    from all keys. A causal layer also measures on keys after the query: as
    published, later steps take part in which queries are kept, never in what
    a kept query reads.

    ``resample`` draws new keys for training; evaluation always uses the same.
    """

    training_keys: Tensor
    evaluation_keys: Tensor

    def __init__(self, *, length: int, causal: bool, factor: int, measure: Measure, exact: bool) -> None:
        super().__init__()
        self.length = length
        self.causal = causal
        self.measure = measure
        self.exact = exact
        self.kept = budget(factor, length)
        keys_lu = self._draw(torch.Generator().manual_seed(_EVALUATION_SEED))
        self.register_buffer("evaluation_keys", keys_lu, persistent=False)
        self.register_buffer("training_keys", keys_lu.clone(), persistent=False)

    def _draw(self, generator: torch.Generator) -> Tensor:
        return torch.randint(self.length, (self.length, self.kept), generator=generator)

    def resample(self, generator: torch.Generator) -> None:
        """Draw the keys on which the next training steps measure, from a CPU generator."""
        if not self.exact:
            drawn = self._draw(generator)
            # A GPU fetches from pinned memory while the host goes on
            self.training_keys.copy_(
                drawn.pin_memory() if self.training_keys.is_cuda else drawn, non_blocking=True
            )

    def forward(self, q_bhld: Tensor, k_bhld: Tensor, v_bhle: Tensor) -> Tensor:
        """Queries and keys (B, H, L, d) and values (B, H, L, e) of one sequence to (B, H, L, e)."""
        check_shapes("probsparse", "b h l d, b h l d, b h l e", q_bhld, k_bhld, v_bhle, l=self.length)
        kept_bhu = self.select(q_bhld, k_bhld)
        out_bhue = self._attend(q_bhld, k_bhld, v_bhle, kept_bhu)
        rows = kept_bhu[..., None].expand_as(out_bhue)
        default_bhle = self._default(v_bhle)
        return default_bhle.scatter(-2, rows, out_bhue.to(default_bhle.dtype))  # autocast may mix precisions

    @torch.no_grad()
    def select(self, q_bhld: Tensor, k_bhld: Tensor) -> Tensor:
        """Positions of the kept queries: (B, H, kept), in no particular order."""
        # All L x L scores, then the sampled ones picked: one matrix product, and less memory than gathering a copy
        # of the sampled keys while L < kept * d. So L log L, the paper's count, is not what runs. Gathering was
        # measured slower up to 2,048 steps and faster from 4,096 (`benchmarks/bench_informer.py`, one thread, d = 64).
        scores_bhll = q_bhld @ k_bhld.mT
        if self.measure == "kl_uniform_attention":
            scores_bhll = scores_bhll / math.sqrt(q_bhld.shape[-1])
        if not self.exact:
            keys_lu = self.training_keys if self.training else self.evaluation_keys
            scores_bhll = scores_bhll.gather(-1, keys_lu.expand(*scores_bhll.shape[:2], -1, -1))
        return sparsity(scores_bhll, self.measure, self.length).topk(self.kept, sorted=False).indices

    def _attend(self, q_bhld: Tensor, k_bhld: Tensor, v_bhle: Tensor, kept_bhu: Tensor) -> Tensor:
        rows = kept_bhu[..., None]
        q_bhud = q_bhld.gather(-2, rows.expand(-1, -1, -1, q_bhld.shape[-1]))
        visible = (
            torch.arange(self.length, device=rows.device) <= rows if self.causal else None
        )  # (B, H, u, L)
        return softmax_attention(q_bhud, k_bhld, v_bhle, mask=visible)

    def _default(self, v_bhle: Tensor) -> Tensor:
        if self.causal:
            # A cumulative sum as a product: unlike cumsum, a GPU repeats it bit for bit.
            return v_bhle.new_ones(self.length, self.length).tril() @ v_bhle
        return v_bhle.mean(-2, keepdim=True).expand_as(v_bhle)
