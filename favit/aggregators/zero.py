"""No fused tokens: a control that shows what dilated windows contribute to a model, whatever fuses them.

Every token is zero, so that keys and values are the biases of their projections: a head of the group returns one
learned vector, the same for each image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap

USES_SAMPLES = False


class Aggregator(nn.Module):
    """Zeros, with a gradient of zero for the samples.

    The graph stays whole, so that parameters before the windows have a gradient, which processes that train
    together wait for.
    """

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        # Not a product with zero, which would let what is infinite through.
        everywhere = torch.ones((), dtype=torch.bool, device=samples.device)
        return samples.select(3, 0).masked_fill(everywhere, 0.0)
