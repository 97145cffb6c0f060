"""ProbSparse self-attention (Zhou et al. 2021, "Informer", arXiv 2012.07436, section 3.1).

Only the queries whose attention is furthest from uniform attend; see
``ProbSparse`` for the measure, the sampling and what the others get.
"""

from __future__ import annotations

from typing import Annotated, Literal

from favit.attention._sparse import ProbSparse
from favit.components.bounds import AtLeast
from favit.components.checks import checked

POSITION_INSIDE = False


class Attention(ProbSparse):
    """ProbSparse by its settings.

    ``factor``: queries kept and keys sampled, in units of ``ceil(ln L)``.
    ``measure``: ``max_mean`` as in the authors' code, or ``kl_uniform_attention``, D_KL(U || P) of uniform
    attention U from a query's own P, as derived in the paper.
    ``exact``: measure on all keys instead of a sample.

    ``dropout`` is accepted like in the other mechanisms and, as published, not applied.
    """

    @checked
    def __init__(
        self,
        length: int,
        causal: bool = False,
        dropout: float = 0.0,
        *,
        factor: Annotated[int, AtLeast(1)] = 5,
        measure: Literal["max_mean", "kl_uniform_attention"] = "max_mean",
        exact: bool = False,
    ) -> None:
        super().__init__(length=length, causal=causal, factor=factor, measure=measure, exact=exact)
