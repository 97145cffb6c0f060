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

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from favit.attention.full import Attention as FullAttention
from favit.components import registry
from favit.models import _informer_layers as layers
from favit.models._linear import Linear

VARIANTS = ("informer",)
TASK = "forecasting"
AGGREGATORS = "attention"

SETTINGS = {
    "d_model": 512,
    "n_heads": 8,
    "d_ff": 2048,
    "e_layers": 2,
    "d_layers": 1,
    "dropout": 0.05,
    "activation": ("gelu", "relu"),
    "distil": True,
    "mix": True,
    # Linear layers in each feed-forward block. The study's "deep MLP" row does not say
    # what it is; four layers of width d_ff instead of two is this project's reading.
    "mlp_depth": 2,
}
MINIMUM = {
    "d_model": 1,
    "n_heads": 1,
    "d_ff": 1,
    "e_layers": 1,
    "d_layers": 1,
    "dropout": 0.0,
    "mlp_depth": 2,
}
REQUIRES = {
    "d_model % n_heads == 0": "d_model must be a multiple of n_heads",
    "dropout < 1": "dropout must be below 1",
}


class Informer(nn.Module):
    """Encoder, generative decoder, linear head.

    ``make_attention(length, causal)`` and ``make_encoding(length)`` give the
    self-attention of one layer and the encoding of the encoder's or decoder's
    sequence (None: no position). ``position_inside`` says that position enters
    in each self-attention instead of at the input. ``time_features`` is 0
    where the calendar is not to be seen.
    """

    def __init__(
        self,
        *,
        variables: int,
        time_features: int,
        input_length: int,
        label_length: int,
        horizon: int,
        make_attention: Callable[[int, bool], nn.Module],
        make_encoding: Callable[[int], nn.Module | None],
        position_inside: bool = False,
        d_model: int = 512,
        n_heads: int = 8,
        d_ff: int = 2048,
        e_layers: int = 2,
        d_layers: int = 1,
        dropout: float = 0.05,
        activation: str = "gelu",
        distil: bool = True,
        mix: bool = True,
        mlp_depth: int = 2,
    ) -> None:
        super().__init__()
        if d_model % n_heads:
            raise ValueError(f"informer: d_model ({d_model}) must be a multiple of n_heads ({n_heads})")
        if activation not in layers.ACTIVATIONS:
            raise ValueError(
                f"informer: activation must be one of {', '.join(layers.ACTIVATIONS)}, not {activation!r}"
            )
        self.horizon = horizon
        decoder_length = label_length + horizon

        def embedding(length: int) -> layers.Embedding:
            return layers.Embedding(
                variables, time_features, d_model, make_encoding(length), position_inside, dropout
            )

        def feed_forward() -> layers.FeedForward:
            return layers.FeedForward(d_model, d_ff, mlp_depth, dropout, activation)

        def encoder_layer(length: int) -> layers.EncoderLayer:
            attention = layers.SelfAttention(d_model, n_heads, make_attention(length, False))
            return layers.EncoderLayer(d_model, attention, feed_forward(), dropout)

        def decoder_layer() -> layers.DecoderLayer:
            attention = layers.SelfAttention(d_model, n_heads, make_attention(decoder_length, True), mix)
            cross = layers.CrossAttention(d_model, n_heads, FullAttention(dropout=dropout))
            return layers.DecoderLayer(d_model, attention, cross, feed_forward(), dropout)

        lengths = [input_length]
        for _ in range(e_layers - 1):
            lengths.append(layers.distilled(lengths[-1]) if distil else lengths[-1])

        self.enc_embedding = embedding(input_length)
        self.dec_embedding = embedding(decoder_length)
        self.encoder = nn.ModuleList(encoder_layer(length) for length in lengths)
        self.distilling = nn.ModuleList(layers.Distilling(d_model) for _ in lengths[1:] if distil)
        self.encoder_norm = nn.LayerNorm(d_model)
        self.decoder = nn.ModuleList(decoder_layer() for _ in range(d_layers))
        self.decoder_norm = nn.LayerNorm(d_model)
        self.head = Linear(d_model, variables)

    def forward(self, x_enc: Tensor, mark_enc: Tensor, x_dec: Tensor, mark_dec: Tensor) -> Tensor:
        """Forecast ``(B, horizon, V)``.

        ``x_enc`` (B, input, V) and ``mark_enc`` (B, input, T); ``x_dec``
        (B, label + horizon, V), zeros after the label part, and its ``mark_dec``.
        """
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
        return self.decoder_norm(final(x, memory, position, last=self.horizon))

    def no_weight_decay(self) -> set[str]:
        """Names of parameters besides biases and norms that must not decay: those of the encodings."""
        return {name for name, _ in self.named_parameters() if ".encoding." in name}


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> Informer:
    """The Informer that a flat run describes.

    ``facts`` are the data set's ``variables`` and ``time_features`` (counts).
    Raises ``ValueError`` for settings that do not go together.
    """
    attention = registry.load("attention", run["aggregator"])
    encoding = registry.load("encodings", run["encoding"])
    position_inside = bool(attention.POSITION_INSIDE)
    _check(run, encoding, position_inside)
    d_model = run.get("model.d_model", SETTINGS["d_model"])
    dropout = run.get("model.dropout", SETTINGS["dropout"])

    def make_attention(length: int, causal: bool) -> nn.Module:
        return attention.Attention(
            length=length, causal=causal, dropout=dropout, **_settings(run, "aggregator")
        )

    def make_encoding(length: int) -> nn.Module | None:
        if not encoding.ADDS_POSITION:
            return None
        return encoding.Encoding(d_model, length=length, **_settings(run, "encoding"))

    return Informer(
        variables=facts["variables"],
        time_features=facts["time_features"] if encoding.TIME else 0,
        input_length=run["input_length"],
        label_length=run["label_length"],
        horizon=run["horizon"],
        make_attention=make_attention,
        make_encoding=make_encoding,
        position_inside=position_inside,
        **_settings(run, "model"),
    )


def _settings(run: Mapping[str, Any], component: str) -> dict[str, Any]:
    """The settings of one component, without its prefix."""
    prefix = f"{component}."
    return {key.removeprefix(prefix): value for key, value in run.items() if key.startswith(prefix)}


def _check(run: Mapping[str, Any], encoding: Any, position_inside: bool) -> None:
    if not encoding.SERIES:
        raise ValueError(f"the encoding '{run['encoding']}' is not for series")
    if run["label_length"] > run["input_length"]:
        raise ValueError(
            f"label_length ({run['label_length']}) must not exceed input_length ({run['input_length']}): "
            "the label window is the end of the input"
        )
    if position_inside and not encoding.ADDS_POSITION:
        raise ValueError(
            f"'{run['aggregator']}' takes position inside the attention; "
            f"the encoding '{run['encoding']}' has none to give"
        )


# The authors' module names, and ours.
_RENAMED = (
    (r"(enc|dec)_embedding\.value_embedding\.tokenConv\.", r"\1_embedding.value."),
    (r"(enc|dec)_embedding\.temporal_embedding\.embed\.", r"\1_embedding.time."),
    (r"encoder\.attn_layers\.(\d+)\.", r"encoder.\1."),
    (r"encoder\.conv_layers\.(\d+)\.downConv\.", r"distilling.\1.conv."),
    (r"encoder\.conv_layers\.(\d+)\.norm\.", r"distilling.\1.norm."),
    (r"encoder\.norm\.", "encoder_norm."),
    (r"decoder\.layers\.(\d+)\.self_attention\.", r"decoder.\1.attention."),
    (r"decoder\.layers\.(\d+)\.", r"decoder.\1."),
    (r"decoder\.norm\.", "decoder_norm."),
    (r"projection\.", "head."),
    (r"(.*)\.(query|key|value|out)_projection\.", r"\1.\2."),
    (r"(.*)\.conv([12])\.", lambda m: f"{m[1]}.feed_forward.linears.{int(m[2]) - 1}."),
)


def checkpoint_filter_fn(state_dict: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A state dict of the authors' code under this model's names and shapes; one of ours passes unchanged.

    Convolutions become linear layers: those of width 1 lose their last axis,
    the circular ones of width 3 are flattened as (step, channel). The tables
    of sinusoids are dropped: they are computed, not stored.
    """
    own = model.state_dict()
    return {
        name: _reshaped(tensor, own.get(name))
        for name, tensor in ((_renamed(key), tensor) for key, tensor in state_dict.items())
        if not name.endswith("position_embedding.pe")
    }


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(rf"^{pattern}", replacement, name)
    return name


def _reshaped(tensor: Tensor, like: Tensor | None) -> Tensor:
    if like is None or tensor.shape == like.shape or tensor.dim() != 3:
        return tensor
    return torch.flatten(tensor.transpose(1, 2), 1)  # (out, in, width) -> (out, width * in)
