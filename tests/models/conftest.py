"""The authors' FaViT-B0: numbers of its code, and weights that follow from names and shapes alone."""

import json
import math
import zlib
from pathlib import Path

import pytest
import torch


def filled(name, shape):
    """Values of a tensor: a sine over its flattened index, with the name's checksum as phase."""
    count = math.prod(shape)
    wave = torch.sin(torch.arange(count, dtype=torch.float64) * 0.7310585 + zlib.crc32(name.encode()) % 1000)
    if len(shape) > 1:
        values = wave * math.sqrt(2.0 / max(1, count // shape[0]))
    else:
        values = 1 + 0.1 * wave if name.endswith("weight") else 0.05 * wave
    return values.reshape(shape).float()


@pytest.fixture(scope="session")
def published_favit():
    """Counts, shapes and logits of the authors' FaViT-B0 with 1,000 classes."""
    return json.loads(Path(__file__).with_name("favit_b0_published.json").read_text())


@pytest.fixture(scope="session")
def published_weights(published_favit):
    """A state dict under the authors' names."""
    return {name: filled(name, shape) for name, shape in published_favit["shapes"].items()}
