"""Delta-V attention: what is gathered is the change of the values from one step to the next.

``V_i = v_i + sum_{j >= 2} a_ij (v_j - v_{j-1})``, with v the head's value
projection and a the attention weights of the layer below (ProbSparse or full),
j = i included, j <= i in a causal layer.

The study's report writes the weights as raw products x_i x_j and shows only
i = 1. Read here: the weights are those of the attention that the row names,
softmax and all; the sum starts at j = 2 because the first step has no change,
so its change is zero while its key keeps its share of the softmax. Over
ProbSparse the changes stand for the values throughout: a query that is not
kept adds their mean over the sequence, in a causal layer their cumulative sum.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from favit.attention._softmax import softmax_attention
from favit.attention._sparse import ProbSparse
from favit.components.bounds import AtLeast
from favit.components.checks import check_shapes, checked

POSITION_INSIDE = False


def changes(v_bhle: Tensor) -> Tensor:
    """``v_j - v_{j-1}`` along the sequence, zero for the first step: (B, H, L, e)."""
    return F.pad(v_bhle.diff(dim=-2), (0, 0, 1, 0))


class Attention(nn.Module):
    """Delta-V over another attention.

    ``base``: the attention whose weights are taken.
    ``factor``: as in ProbSparse; unused over ``full``.
    ``measure``: as in ProbSparse; unused over ``full``.
    ``exact``: as in ProbSparse; unused over ``full``.
    """

    @checked
    def __init__(
        self,
        length: int,
        causal: bool = False,
        dropout: float = 0.0,
        *,
        base: Literal["probsparse", "full"] = "probsparse",
        factor: Annotated[int, AtLeast(1)] = 5,
        measure: Literal["max_mean", "kl_uniform_attention"] = "max_mean",
        exact: bool = False,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = dropout
        self.sparse = (
            ProbSparse(length=length, causal=causal, factor=factor, measure=measure, exact=exact)
            if base == "probsparse"
            else None
        )

    def forward(self, q_bhld: Tensor, k_bhld: Tensor, v_bhle: Tensor) -> Tensor:
        """Queries and keys (B, H, L, d) and values (B, H, L, e) of one sequence to (B, H, L, e)."""
        check_shapes("delta_v", "b h l d, b h l d, b h l e", q_bhld, k_bhld, v_bhle)
        delta_bhle = changes(v_bhle)
        if self.sparse is not None:
            return v_bhle + self.sparse(q_bhld, k_bhld, delta_bhle)
        dropout = self.dropout if self.training else 0.0
        return v_bhle + softmax_attention(q_bhld, k_bhld, delta_bhle, causal=self.causal, dropout=dropout)
