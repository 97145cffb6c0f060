"""Encoded photographs: their size from the header, their pixels by the fastest decoder that takes them."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from PIL import Image

# TurboJPEG gives these as four channels; Pillow knows how to make RGB of them.
_FOUR_CHANNELS = ("CMYK", "YCCK")


class Encoded:
    """One image file in memory: mostly a JPEG in colour, sometimes in grey or CMYK, once a PNG.

    Raises ``ValueError`` for what is no image. Pixels are those of Pillow's
    ``convert("RGB")``, from which libjpeg-turbo differs in speed only.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        try:
            self.height, self.width, self.colours, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            with _opened(data) as image:
                self.width, self.height = image.size
                self.colours = f"{image.format} {image.mode}"

    @property
    def is_cmyk(self) -> bool:
        """Whether its colours are those of a printer."""
        return self.colours in _FOUR_CHANNELS or self.colours.endswith("CMYK")

    @property
    def is_jpeg(self) -> bool:
        """Whether it is what its name says."""
        return " " not in self.colours or self.colours.startswith("JPEG")

    def decode(self) -> np.ndarray:
        """Pixels (height, width, 3) uint8. ``ValueError`` if the file is damaged."""
        if " " not in self.colours and self.colours not in _FOUR_CHANNELS:
            try:
                return simplejpeg.decode_jpeg(self._data)
            except ValueError:
                pass  # damaged, or only unusual: Pillow, which everyone else reads it with, is to judge
        with _opened(self._data) as image:
            try:
                return np.array(image.convert("RGB"))
            except (OSError, SyntaxError) as error:
                raise ValueError(str(error)) from None


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, SyntaxError) as error:
        raise ValueError(str(error)) from None
