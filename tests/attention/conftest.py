"""Random heads in float64, and the reference implementations beside this file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The loops of ``reference.py``."""
    spec = importlib.util.spec_from_file_location(
        "attention_reference", Path(__file__).with_name("reference.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def heads() -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys (2, 3, 14, 4) and values (2, 3, 14, 5) in float64."""
    generator = torch.Generator().manual_seed(7)
    shapes = ((2, 3, 14, 4), (2, 3, 14, 4), (2, 3, 14, 5))
    q, k, v = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes)
    return q, k, v
