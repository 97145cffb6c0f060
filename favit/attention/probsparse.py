"""ProbSparse self-attention (Zhou et al. 2021, "Informer", arXiv 2012.07436, section 3.1).

Only the queries whose attention is furthest from uniform attend; see
``ProbSparse`` for the measure, the sampling and what the others get.
"""

from __future__ import annotations

from favit.attention._sparse import ProbSparse

POSITION_INSIDE = False

SETTINGS = {
    "factor": 5,
    "measure": ("max_mean", "kl"),
    "exact": False,
}
MINIMUM = {"factor": 1}


class Attention(ProbSparse):
    """ProbSparse by its settings.

    ``factor``: queries kept and keys sampled, in units of ``ceil(ln L)``.
    ``measure``: ``max_mean`` as in the authors' code, or ``kl`` as derived in the paper.
    ``exact``: measure on all keys instead of a sample.

    ``dropout`` is accepted like in the other mechanisms and, as published, not applied.
    """

    def __init__(
        self,
        *,
        length: int,
        causal: bool = False,
        dropout: float = 0.0,
        factor: int = 5,
        measure: str = "max_mean",
        exact: bool = False,
    ) -> None:
        super().__init__(length=length, causal=causal, factor=factor, measure=measure, exact=exact)
