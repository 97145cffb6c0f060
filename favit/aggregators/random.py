"""49 samples of all windows, drawn at random: as many as ``probsparse`` keeps, but without a criterion.

The control for every selection: what this reaches as well cannot be put down to how samples are chosen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from favit.aggregators._contract import Grid, KeyMap
from favit.aggregators._selection import POSITIONS, by_window, fill, gathered

_EVALUATION_SEED = 0  # evaluation takes the same samples in every process; the seed has no meaning


class Aggregator(nn.Module):
    """Takes 49 samples a head, without replacement, the same for each image, laid out as ``probsparse`` does.

    Evaluation takes the same ones always, in every layer of this size. Training takes those of the last ``resample``,
    so a training loop calls that before each step; without it they stay as in evaluation. With another number of
    windows than the model was built for they are evenly spread over the map, not drawn. With one window it is the
    identity.
    """

    def __init__(self, channels: int, heads: int, windows: int) -> None:
        super().__init__()
        self.keys = windows * POSITIONS
        self.heads = heads
        places_ht = self._draw(torch.Generator().manual_seed(_EVALUATION_SEED))
        self.register_buffer("evaluation_places", places_ht, persistent=False)
        self.register_buffer("training_places", places_ht.clone(), persistent=False)

    evaluation_places: Tensor
    training_places: Tensor

    def _draw(self, generator: torch.Generator) -> Tensor:
        """Places (heads, 49) by row, then column of the map, ascending; on the CPU, where generators are."""
        drawn = [torch.randperm(self.keys, generator=generator, device="cpu") for _ in range(self.heads)]
        return torch.stack(drawn)[:, :POSITIONS].sort(dim=1).values

    def resample(self, generator: torch.Generator) -> None:
        """Draw the places of the next training step from a CPU generator."""
        fill(self.training_places, self._draw(generator))

    def forward(self, samples: Tensor, queries: Tensor, key_map: KeyMap, grid: Grid) -> Tensor:
        """Samples (B, heads, 49, windows, channels) to tokens (B, heads, 49, channels)."""
        if samples.shape[3] == 1:
            return samples.squeeze(3)
        samples_blhc = by_window(samples)
        places_ht = self._places(samples_blhc.shape[1]).to(samples.device)
        return gathered(samples_blhc, places_ht.expand(samples.shape[0], -1, -1), grid)

    def _places(self, count: int) -> Tensor:
        if count != self.keys:
            spread = (2 * torch.arange(POSITIONS) + 1) * count // (2 * POSITIONS)
            return spread.expand(self.heads, -1)
        return self.training_places if self.training else self.evaluation_places
