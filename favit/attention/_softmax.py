"""Softmax attention as every mechanism here uses it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def softmax_attention(
    q_bhld: Tensor,
    k_bhsd: Tensor,
    v_bhse: Tensor,
    *,
    causal: bool = False,
    dropout: float = 0.0,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """``softmax(scale * q k') v``: ``(B, H, L, E)``.

    ``causal`` hides keys after the query's position; ``mask`` (True = may be
    attended) does the same by hand. ``dropout`` falls on the weights, as in
    Vaswani et al. 2017. ``scale`` is 1/sqrt(d) unless given.
    """
    return F.scaled_dot_product_attention(
        q_bhld, k_bhsd, v_bhse, attn_mask=mask, dropout_p=dropout, is_causal=causal, scale=scale
    )
