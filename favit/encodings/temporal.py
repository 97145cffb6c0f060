"""Time features only: a forecaster's values and calendar, without position (series only)."""

from __future__ import annotations

from torch import Tensor

from favit.encodings._absent import NoPosition

IMAGES = False
SERIES = True
TIME = True
ADDS_POSITION = False


class Encoding(NoPosition):
    """Adds nothing by position; ``TIME`` turns the model's embedding of time features on."""

    def forward(self, *lengths: int) -> Tensor:
        """``encoding(length) -> (length, dim)``: zeros. ``ValueError`` for an image, which has no time."""
        if len(lengths) != 1:
            raise ValueError(
                "the encoding 'temporal' is for series; images take none, sinusoidal, learned or legendre"
            )
        return super().forward(*lengths)
