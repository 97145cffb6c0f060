"""The parts of Informer (Zhou et al. 2021, arXiv 2012.07436); sequences are (B, L, D), heads (B, H, L, d)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from favit.models._linear import Linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}


class CircularConv(Linear):
    """Convolution of width 3 around a ring: the last step is the first one's neighbour.

    A linear layer over (previous, same, next) step: sequences stay (B, L, D), with nothing to transpose.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__(3 * dim_in, dim_out)

    def forward(self, x_bld: Tensor) -> Tensor:
        """``(B, L, dim_in)`` to ``(B, L, dim_out)``."""
        return super().forward(torch.cat((x_bld.roll(1, 1), x_bld, x_bld.roll(-1, 1)), dim=-1))


class Embedding(nn.Module):
    """Values, time features and positions added up (the paper's appendix B).

    ``time_features`` of 0 leaves out the time features; an ``encoding`` of
    None, or one that enters inside the attention, adds no position here.
    """

    def __init__(
        self,
        variables: int,
        time_features: int,
        dim: int,
        encoding: nn.Module | None,
        position_inside: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.value = CircularConv(variables, dim)
        nn.init.kaiming_normal_(self.value.weight, nonlinearity="leaky_relu", a=0)
        self.time = Linear(time_features, dim) if time_features else None
        self.encoding = encoding
        self.position_inside = position_inside
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_blv: Tensor, marks_blt: Tensor) -> Tensor:
        """``(B, L, V), (B, L, T) -> (B, L, D)``."""
        out_bld = self.value(x_blv)
        if self.time is not None:
            out_bld = out_bld + self.time(marks_blt)
        if self.encoding is not None and not self.position_inside:
            out_bld = out_bld + self.encoding(x_blv.shape[1])
        return self.dropout(out_bld)

    def position(self, length: int) -> Tensor | None:
        """``(length, D)`` for an attention that takes position inside; None for the others."""
        return self.encoding(length) if self.encoding is not None and self.position_inside else None


class SelfAttention(nn.Module):
    """Projections to heads and back around one of the mechanisms of ``favit.attention``.

    ``mix`` lays the heads out one after the other along the sequence before
    the output projection (the authors' generative decoder): a step's output
    then comes from other steps, later ones included.
    """

    def __init__(self, dim: int, heads: int, mechanism: nn.Module, mix: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.mix = mix
        self.query = Linear(dim, dim)
        self.key = Linear(dim, dim)
        self.value = Linear(dim, dim)
        self.mechanism = mechanism
        self.out = Linear(dim, dim)

    def forward(self, x_bld: Tensor, position_ld: Tensor | None = None, last: int | None = None) -> Tensor:
        """``(B, L, D)`` to ``(B, L, D)``, or to its ``last`` steps alone."""
        heads = self.mechanism(
            self._split(self.query(x_bld)),
            self._split(self.key(x_bld)),
            self._split(self.value(x_bld)),
            *self._position_heads(position_ld),
        )
        merged = (
            heads.flatten(1, 2).view(x_bld.shape) if self.mix else rearrange(heads, "b h l d -> b l (h d)")
        )
        return self.out(merged if last is None else merged[:, -last:])

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "... l (h d) -> ... h l d", h=self.heads)

    def _position_heads(self, position_ld: Tensor | None) -> tuple[Tensor, ...]:
        """``W_q p`` and ``W_k p``, each (H, L, d), without the biases, which belong to the tokens."""
        if position_ld is None:
            return ()
        return tuple(self._split(F.linear(position_ld, p.weight)) for p in (self.query, self.key))


class CrossAttention(nn.Module):
    """The decoder's look at the encoder: ``(B, L, D), (B, S, D) -> (B, L, D)``."""

    def __init__(self, dim: int, heads: int, mechanism: nn.Module) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(dim, dim)
        self.key = Linear(dim, dim)
        self.value = Linear(dim, dim)
        self.mechanism = mechanism
        self.out = Linear(dim, dim)

    def forward(self, x_bld: Tensor, memory_bsd: Tensor) -> Tensor:
        """Attend from ``x`` to ``memory``."""
        projected = (self.query(x_bld), self.key(memory_bsd), self.value(memory_bsd))
        heads = self.mechanism(*(rearrange(t, "b l (h d) -> b h l d", h=self.heads) for t in projected))
        return self.out(rearrange(heads, "b h l d -> b l (h d)"))


class FeedForward(nn.Module):
    """``depth`` linear layers from ``dim`` through ``hidden`` to ``dim``; dropout after each."""

    def __init__(self, dim: int, hidden: int, depth: int, dropout: float, activation: str) -> None:
        super().__init__()
        widths = [dim, *[hidden] * (depth - 1), dim]
        self.linears = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., dim)`` to ``(..., dim)``."""
        *inner, last = self.linears
        for linear in inner:
            x = self.dropout(self.activation(linear(x)))
        return self.dropout(last(x))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each added and then normalised (post-norm)."""

    def __init__(self, dim: int, attention: SelfAttention, feed_forward: FeedForward, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.norm1 = nn.LayerNorm(dim)
        self.feed_forward = feed_forward
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_bld: Tensor, position_ld: Tensor | None) -> Tensor:
        """``(B, L, D)`` to ``(B, L, D)``."""
        x_bld = self.norm1(x_bld + self.dropout(self.attention(x_bld, position_ld)))
        return self.norm2(x_bld + self.feed_forward(x_bld))


class Distilling(nn.Module):
    """Halves the sequence between encoder layers (the paper's Eq. 5)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = CircularConv(dim, dim)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x_bld: Tensor) -> Tensor:
        """``(B, L, D) -> (B, ceil(L / 2), D)``: convolution, batch norm, ELU, max pool (3, stride 2)."""
        batch, length, _ = x_bld.shape
        x_nd = self.norm(self.conv(x_bld).flatten(0, 1))
        x_bdl = rearrange(F.elu(x_nd), "(b l) d -> b d l", b=batch, l=length)
        return rearrange(F.max_pool1d(x_bdl, kernel_size=3, stride=2, padding=1), "b d l -> b l d")


def distilled(length: int) -> int:
    """Length after one ``Distilling``."""
    return (length - 1) // 2 + 1


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder, feed-forward, each added and then normalised."""

    def __init__(
        self,
        dim: int,
        attention: SelfAttention,
        cross_attention: CrossAttention,
        feed_forward: FeedForward,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attention = cross_attention
        self.norm2 = nn.LayerNorm(dim)
        self.feed_forward = feed_forward
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_bld: Tensor, memory_bsd: Tensor, position_ld: Tensor | None, last: int | None = None
    ) -> Tensor:
        """``(B, L, D)`` to ``(B, L, D)``, or to its ``last`` steps alone.

        Only self-attention looks across the steps, so those that nobody reads
        afterwards can be dropped right behind it.
        """
        attended = self.attention(x_bld, position_ld, last)
        x_bld = self.norm1(x_bld[:, -attended.shape[1] :] + self.dropout(attended))
        x_bld = self.norm2(x_bld + self.dropout(self.cross_attention(x_bld, memory_bsd)))
        return self.norm3(x_bld + self.feed_forward(x_bld))
