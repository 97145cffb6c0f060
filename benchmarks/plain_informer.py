"""Informer written the straightforward way, to be timed against ``favit.models.informer``.

The same function of the same parameters, as one writes it from the paper:
convolutions of width 1 for the feed-forward, sequences transposed to and fro,
one copy of the sampled keys for every query, all decoder steps computed to the
end. Self-attention is ProbSparse or full.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention, ``sparse`` or full, optionally causal and mixed."""

    def __init__(
        self, dim: int, heads: int, dropout: float, sparse: bool, causal: bool, mix: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.sparse, self.causal, self.mix = heads, sparse, causal, mix
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """(B, L, D), (B, S, D) to (B, L, D)."""
        batch, length, dim = x.shape
        q, k, v = (
            p(t).view(batch, -1, self.heads, dim // self.heads).transpose(1, 2)
            for p, t in ((self.q, x), (self.k, memory), (self.v, memory))
        )
        y = self._sparse(q, k, v) if self.sparse else self._full(q, k, v)
        y = y if self.mix else y.transpose(1, 2)
        return self.out(y.reshape(batch, length, dim))

    def _full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if self.causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        return self.dropout(scores.softmax(-1)) @ v

    def _sparse(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        length = q.shape[2]
        u = min(length, 5 * math.ceil(math.log(length)))
        keys = k[:, :, torch.randint(length, (length, u))]  # (B, H, L, u, d)
        sampled = (q.unsqueeze(-2) @ keys.mT).squeeze(-2)
        top = (sampled.amax(-1) - sampled.sum(-1) / length).topk(u, sorted=False).indices  # (B, H, u)
        rows = top[..., None].expand(-1, -1, -1, q.shape[-1])
        scores = q.gather(2, rows) @ k.mT / math.sqrt(q.shape[-1])
        if self.causal:
            scores = scores.masked_fill(torch.arange(length) > top[..., None], -math.inf)
        rest = v.cumsum(2) if self.causal else v.mean(2, keepdim=True).expand_as(v)
        return rest.scatter(2, rows, scores.softmax(-1) @ v)


class FeedForward(nn.Module):
    """Two convolutions of width 1."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.up, self.down = nn.Conv1d(dim, hidden, 1), nn.Conv1d(hidden, dim, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        return self.dropout(self.down(self.dropout(F.gelu(self.up(x.mT)))).mT)


class Layer(nn.Module):
    """Self-attention, in a decoder attention to ``memory``, feed-forward; post-norm."""

    def __init__(
        self, attention: Attention, cross: Attention | None, feed_forward: FeedForward, dim: int, p: float
    ):
        super().__init__()
        self.attention, self.cross, self.feed_forward = attention, cross, feed_forward
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3 if cross else 2))
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        x = self.norms[0](x + self.dropout(self.attention(x, x)))
        if self.cross is not None and memory is not None:
            x = self.norms[1](x + self.dropout(self.cross(x, memory)))
        return self.norms[-1](x + self.feed_forward(x))


class Embedding(nn.Module):
    """Circular convolution of the values, linear in the time features, sinusoids."""

    def __init__(self, variables: int, time_features: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.value = nn.Conv1d(variables, dim, 3, padding=1, padding_mode="circular")
        self.time = nn.Linear(time_features, dim)
        angle = torch.arange(512.0)[:, None] * 10_000 ** (-torch.arange(0, dim, 2) / dim)
        self.register_buffer(
            "table", torch.stack((angle.sin(), angle.cos()), -1).flatten(1), persistent=False
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, marks: Tensor) -> Tensor:
        """(B, L, V), (B, L, T) to (B, L, D)."""
        return self.dropout(self.value(x.mT).mT + self.time(marks) + self.table[: x.shape[1]])


class PlainInformer(nn.Module):
    """Two encoder layers with distilling between, one decoder layer; 11,330,055 parameters by default."""

    def __init__(
        self,
        sparse: bool,
        horizon: int,
        variables: int = 7,
        time_features: int = 4,
        dim: int = 512,
        heads: int = 8,
        hidden: int = 2048,
        p: float = 0.05,
    ) -> None:
        super().__init__()
        self.horizon = horizon

        def layer(causal: bool) -> Layer:
            attention = Attention(dim, heads, p, sparse, causal, mix=causal)
            cross = Attention(dim, heads, p, sparse=False, causal=False) if causal else None
            return Layer(attention, cross, FeedForward(dim, hidden, p), dim, p)

        self.enc_embedding, self.dec_embedding = (
            Embedding(variables, time_features, dim, p) for _ in range(2)
        )
        self.first, self.second, self.decoder = layer(False), layer(False), layer(True)
        self.conv = nn.Conv1d(dim, dim, 3, padding=1, padding_mode="circular")
        self.batch_norm, self.pool = nn.BatchNorm1d(dim), nn.MaxPool1d(3, 2, 1)
        self.enc_norm, self.dec_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.head = nn.Linear(dim, variables)

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """(B, horizon, V)."""
        x = self.first(self.enc_embedding(x_enc, mark_enc))
        x = self.pool(F.elu(self.batch_norm(self.conv(x.mT)))).mT
        memory = self.enc_norm(self.second(x))
        y = self.dec_norm(self.decoder(self.dec_embedding(x_dec, mark_dec), memory))
        return self.head(y)[:, -self.horizon :]
