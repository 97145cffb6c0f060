"""Types and checks that aggregators share; the package's docstring states the contract itself."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from favit.components.checks import check_shapes

Grid = tuple[int, int]  # rows and columns of windows
KeyMap = Callable[
    [], tuple[Tensor, Tensor]
]  # weight (channels, channels) and bias (channels,) of token -> key


def check_windows(samples: Tensor, windows: int) -> None:
    """Raise ``ValueError`` unless ``samples`` (B, heads, 49, windows, channels) has that many windows."""
    check_shapes(
        "the aggregator, whose weights are for one number of windows",
        "images heads 49 windows channels",
        samples,
        windows=windows,
        hint="build the model with img_size=(height, width) of the images it will see",
    )
