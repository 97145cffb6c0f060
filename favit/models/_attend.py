"""Attention over few keys."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from favit.models import _cpu


def attend(q_bnhc: Tensor, k_bhmc: Tensor, v_bhmc: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(c)) v of queries (B, N, h, c), keys and values (B, h, M, c): (B, N, h c)."""
    if _cpu.attends_to_few_keys(q_bnhc):
        return _cpu.attend_to_few_keys(q_bnhc, k_bhmc, v_bhmc)
    return F.scaled_dot_product_attention(q_bnhc.transpose(1, 2), k_bhmc, v_bhmc).transpose(1, 2).flatten(2)
