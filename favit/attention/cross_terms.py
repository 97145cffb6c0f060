"""Full attention with its scores taken apart into tokens and positions.

With ``q = W_q x + b_q + W_q p`` and ``k`` likewise, ``q' k`` is the sum of four
terms; the token parts carry the biases and both parts share W:

=============  =========================================
token_token    ``(W_q x + b_q)' (W_k x + b_k)``
token_pos      ``(W_q x + b_q)' (W_k p)``
pos_token      ``(W_q p)' (W_k x + b_k)``
pos_pos        ``(W_q p)' (W_k p)``
=============  =========================================

Any choice of them is scaled by 1/sqrt(d) and goes through the softmax. Values
come from x alone, and p enters here, in every self-attention at that layer's
length, not at the model's input (``POSITION_INSIDE``).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from favit.attention._softmax import softmax_attention
from favit.components.checks import check_shapes, checked

POSITION_INSIDE = True

TERMS = ("token_token", "token_pos", "pos_token", "pos_pos")

# Every choice in one spelling only, so that no two names mean the same run.
Terms = Literal[
    "all",
    "token_token",
    "token_pos",
    "pos_token",
    "pos_pos",
    "token_token+token_pos",
    "token_token+pos_token",
    "token_token+pos_pos",
    "token_pos+pos_token",
    "token_pos+pos_pos",
    "pos_token+pos_pos",
    "token_token+token_pos+pos_token",
    "token_token+token_pos+pos_pos",
    "token_token+pos_token+pos_pos",
    "token_pos+pos_token+pos_pos",
]


class Attention(nn.Module):
    """Attention by the chosen terms.

    ``terms``: ``all``, or some of the four joined by ``+`` in their order.

    ``length`` (the sequence length) is accepted like in the other mechanisms and not needed.
    """

    @checked
    def __init__(
        self, length: int | None = None, causal: bool = False, dropout: float = 0.0, *, terms: Terms = "all"
    ) -> None:
        super().__init__()
        self.terms = TERMS if terms == "all" else tuple(terms.split("+"))
        self.causal = causal
        self.dropout = dropout

    def forward(
        self, q_bhld: Tensor, k_bhld: Tensor, v_bhle: Tensor, q_pos_hld: Tensor, k_pos_hld: Tensor
    ) -> Tensor:
        """Token parts of queries and keys (B, H, L, d), values (B, H, L, e), and the position parts
        ``W_q p`` and ``W_k p`` (H, L, d), to (B, H, L, e)."""
        tensors = (q_bhld, k_bhld, v_bhle, q_pos_hld, k_pos_hld)
        check_shapes("cross_terms", "b h l d, b h l d, b h l e, h l d, h l d", *tensors)
        q_pos = q_pos_hld.expand_as(q_bhld)
        # The terms grouped by query part: x_q' (its keys) + p_q' (its keys), one product over 2d channels.
        q_bhl2d = torch.cat((q_bhld, q_pos), dim=-1)
        k_bhl2d = torch.cat(
            (self._keys("token", k_bhld, k_pos_hld), self._keys("pos", k_bhld, k_pos_hld)), dim=-1
        )
        dropout = self.dropout if self.training else 0.0
        scale = 1 / math.sqrt(q_bhld.shape[-1])
        return softmax_attention(q_bhl2d, k_bhl2d, v_bhle, causal=self.causal, dropout=dropout, scale=scale)

    def _keys(self, query: str, k_bhld: Tensor, k_pos_hld: Tensor) -> Tensor:
        """The keys that one part of the query meets under the chosen terms: (B, H, L, d)."""
        keys = torch.zeros_like(k_bhld)
        if f"{query}_token" in self.terms:
            keys = keys + k_bhld
        if f"{query}_pos" in self.terms:
            keys = keys + k_pos_hld
        return keys

    def scores(
        self, q_bhld: Tensor, k_bhld: Tensor, q_pos_hld: Tensor, k_pos_hld: Tensor
    ) -> dict[str, Tensor]:
        """Each chosen term by itself, scaled, before mask and softmax: name to (B, H, L, L)."""
        queries = {"token": q_bhld, "pos": q_pos_hld.expand_as(q_bhld)}
        keys = {"token": k_bhld, "pos": k_pos_hld.expand_as(k_bhld)}
        parts = {term: term.split("_") for term in self.terms}
        scale = 1 / math.sqrt(q_bhld.shape[-1])
        return {term: scale * queries[q] @ keys[k].mT for term, (q, k) in parts.items()}
