"""Informer (Zhou et al. 2021, "Informer: Beyond Efficient Transformer for Long Sequence Time-Series
Forecasting", arXiv 2012.07436), with its self-attention and its encoding chosen by name.

Where the paper and its authors' code differ, the code is followed: its numbers
are the ones that the tables compare with. The decoder is causal in its masks
only: with ``mix``, on as in the code, a step's attention output is put together
from other steps, later ones included, and the value embedding reads one step
ahead and joins the two ends of the window. Neither sees the target, whose
steps hold zeros in the decoder's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from favit.attention.full import Attention as FullAttention
from favit.components import registry
from favit.components.bounds import AtLeast, Below
from favit.components.checks import check_fields, check_shapes
from favit.components.flags import flag
from favit.components.flat import own
from favit.models import _informer_layers as layers
from favit.models._informer_checkpoint import checkpoint_filter_fn
from favit.models._linear import Linear

__all__ = ["Informer", "Lengths", "Settings", "build", "checkpoint_filter_fn"]

VARIANTS = ("informer",)
TASK = "forecasting"
AGGREGATORS = "attention"


@dataclass(frozen=True)
class Settings:
    """The settings of Informer: ``model.d_model`` and so on."""

    d_model: Annotated[int, AtLeast(1)] = 512
    """Channels of every step between the embedding and the head."""
    n_heads: Annotated[int, AtLeast(1)] = 8
    """Attention heads, among which the channels are divided."""
    d_ff: Annotated[int, AtLeast(1)] = 2048
    """Channels inside each feed-forward block."""
    e_layers: Annotated[int, AtLeast(1)] = 2
    """Layers of the encoder."""
    d_layers: Annotated[int, AtLeast(1)] = 1
    """Layers of the decoder."""
    dropout: Annotated[float, AtLeast(0.0), Below(1.0)] = 0.05
    """Dropout of activations and of attention weights."""
    activation: Literal["gelu", "relu"] = "gelu"
    """The nonlinearity between the linear layers of a feed-forward block."""
    distil: bool = True
    """Halve the sequence between the layers of the encoder."""
    mix: bool = True
    """Lay the heads of the decoder's self-attention out along the sequence, as the authors' code does."""
    mlp_depth: Annotated[int, AtLeast(2)] = 2
    """Linear layers in each feed-forward block. The study's "deep MLP" row does not say what it is; four layers
    of width d_ff instead of two is this project's reading."""

    def __post_init__(self) -> None:
        """``ValueError`` for what the annotations or ``check_settings`` do not allow."""
        check_fields(self)
        check_settings(self.d_model, self.n_heads)


def check_settings(d_model: int, n_heads: int) -> None:
    """``ValueError`` unless the channels can be divided among the heads."""
    if d_model % n_heads:
        raise ValueError(f"d_model must be a multiple of n_heads: d_model is {d_model}, n_heads is {n_heads}")


@dataclass(frozen=True)
class Lengths:
    """The shapes that an Informer is built for: V variables, T time features and the parts of a window."""

    variables: int
    """Variables of the series, all of which are input and output."""
    time_features: int
    """Calendar features; 0 for none."""
    input_length: int
    """Steps of the encoder's input."""
    label_length: int
    """Last steps of the input, given to the decoder."""
    horizon: int
    """Steps to forecast."""


class Informer(nn.Module):
    """Encoder, generative decoder, linear head.

    ``make_attention(length, causal)`` and ``make_encoding(length)`` give the
    self-attention of one layer and the encoding of the encoder's or decoder's
    sequence (None: no position). ``position_inside`` says that position enters
    in each self-attention instead of at the input.
    """

    def __init__(
        self,
        settings: Settings,
        lengths: Lengths,
        make_attention: Callable[[int, bool], nn.Module],
        make_encoding: Callable[[int], nn.Module | None],
        position_inside: bool = False,
    ) -> None:
        super().__init__()
        self.lengths = lengths
        d_model, n_heads, dropout = settings.d_model, settings.n_heads, settings.dropout
        decoder_length = lengths.label_length + lengths.horizon

        def embedding(length: int) -> layers.Embedding:
            return layers.Embedding(
                lengths.variables,
                lengths.time_features,
                d_model,
                make_encoding(length),
                position_inside,
                dropout,
            )

        def feed_forward() -> layers.FeedForward:
            return layers.FeedForward(
                d_model, settings.d_ff, settings.mlp_depth, dropout, settings.activation
            )

        def encoder_layer(length: int) -> layers.EncoderLayer:
            attention = layers.SelfAttention(d_model, n_heads, make_attention(length, False))
            return layers.EncoderLayer(d_model, attention, feed_forward(), dropout)

        def decoder_layer() -> layers.DecoderLayer:
            mechanism = make_attention(decoder_length, True)
            attention = layers.SelfAttention(d_model, n_heads, mechanism, settings.mix)
            cross = layers.CrossAttention(d_model, n_heads, FullAttention(dropout=dropout))
            return layers.DecoderLayer(d_model, attention, cross, feed_forward(), dropout)

        seen = [lengths.input_length]  # by each layer of the encoder
        for _ in range(settings.e_layers - 1):
            seen.append(layers.distilled(seen[-1]) if settings.distil else seen[-1])

        self.enc_embedding = embedding(lengths.input_length)
        self.dec_embedding = embedding(decoder_length)
        self.encoder = nn.ModuleList(encoder_layer(length) for length in seen)
        self.distilling = nn.ModuleList(layers.Distilling(d_model) for _ in seen[1:] if settings.distil)
        self.encoder_norm = nn.LayerNorm(d_model)
        self.decoder = nn.ModuleList(decoder_layer() for _ in range(settings.d_layers))
        self.decoder_norm = nn.LayerNorm(d_model)
        self.head = Linear(d_model, lengths.variables)

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """Forecast ``(B, horizon, V)``.

        ``x_enc`` (B, input, V) and ``mark_enc`` (B, input, T); ``x_dec``
        (B, label + horizon, V), zeros after the label part, and its ``mark_dec``.
        """
        pattern = "batch input variables, batch input features, batch steps variables, batch steps features"
        tensors = (x_enc, mark_enc, x_dec, mark_dec)
        check_shapes("Informer", pattern, *tensors, variables=self.lengths.variables)
        memory = self.encode(x_enc, mark_enc)
        return self.head(self.decode(x_dec, mark_dec, memory))

    def encode(self, x_enc: Tensor, mark_enc: Tensor) -> Tensor:
        """``(B, input, V), (B, input, T) -> (B, S, D)``, S the distilled length."""
        x = self.enc_embedding(x_enc, mark_enc)
        for i, layer in enumerate(self.encoder):
            if i > 0 and self.distilling:
                x = self.distilling[i - 1](x)
            x = layer(x, self.enc_embedding.position(x.shape[1]))
        return self.encoder_norm(x)

    def decode(self, x_dec: Tensor, mark_dec: Tensor, memory: Tensor) -> Tensor:
        """``(B, label + horizon, V), (B, label + horizon, T), (B, S, D) -> (B, horizon, D)``."""
        x = self.dec_embedding(x_dec, mark_dec)
        position = self.dec_embedding.position(x.shape[1])
        *inner, final = self.decoder
        for layer in inner:
            x = layer(x, memory, position)
        return self.decoder_norm(final(x, memory, position, last=self.lengths.horizon))

    def no_weight_decay(self) -> set[str]:
        """Names of parameters besides biases and norms that must not decay: those of the encodings."""
        return {name for name, _ in self.named_parameters() if ".encoding." in name}


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> Informer:
    """The Informer that a flat run describes.

    ``facts`` are the data set's ``variables`` and ``time_features`` (counts).
    Raises ``ValueError`` for settings that do not go together.
    """
    settings, lengths = Settings(**own(run, "model")), _lengths(run, facts)
    attention = registry.load("attention", run["aggregator"])
    encoding = registry.load("encodings", run["encoding"])
    position_inside = flag("attention", run["aggregator"], "POSITION_INSIDE")
    adds_position = flag("encodings", run["encoding"], "ADDS_POSITION")
    if position_inside and not adds_position:
        raise ValueError(
            f"'{run['aggregator']}' takes position inside the attention; "
            f"the encoding '{run['encoding']}' has none to give"
        )

    def make_attention(length: int, causal: bool) -> nn.Module:
        chosen = own(run, "aggregator")
        return attention.Attention(length=length, causal=causal, dropout=settings.dropout, **chosen)

    def make_encoding(length: int) -> nn.Module | None:
        if not adds_position:
            return None
        return encoding.Encoding(settings.d_model, length=length, **own(run, "encoding"))

    return Informer(settings, lengths, make_attention, make_encoding, position_inside)


def _lengths(run: Mapping[str, Any], facts: Mapping[str, Any]) -> Lengths:
    """The shapes that a run and its data set's facts ask for."""
    if not flag("encodings", run["encoding"], "SERIES"):
        raise ValueError(f"the encoding '{run['encoding']}' is not for series")
    if run["label_length"] > run["input_length"]:
        raise ValueError(
            f"label_length ({run['label_length']}) must not exceed input_length ({run['input_length']}): "
            "the label window is the end of the input"
        )
    time_features = facts["time_features"] if flag("encodings", run["encoding"], "TIME") else 0
    lengths = {name: run[name] for name in ("input_length", "label_length", "horizon")}
    return Lengths(variables=facts["variables"], time_features=time_features, **lengths)
