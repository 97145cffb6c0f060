"""Full softmax attention (Vaswani et al. 2017, "Attention Is All You Need", Eq. 1)."""

from __future__ import annotations

from torch import Tensor, nn

from favit.attention._softmax import softmax_attention
from favit.components.checks import check_shapes

POSITION_INSIDE = False


class Attention(nn.Module):
    """Every query attends to every key; with ``causal`` to those up to its own position.

    ``length`` (the sequence length) is accepted like in the other mechanisms and not needed.
    """

    def __init__(self, length: int | None = None, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = dropout

    def forward(self, q_bhld: Tensor, k_bhsd: Tensor, v_bhse: Tensor) -> Tensor:
        """Queries (B, H, L, d), keys (B, H, S, d), values (B, H, S, e) to (B, H, L, e)."""
        check_shapes("full", "b h l d, b h s d, b h s e", q_bhld, k_bhsd, v_bhse)
        dropout = self.dropout if self.training else 0.0
        return softmax_attention(q_bhld, k_bhsd, v_bhse, causal=self.causal, dropout=dropout)
