"""What tests on the simulated GPU are given."""

from __future__ import annotations

import pytest

from favit.models import favit


@pytest.fixture
def small_favit(monkeypatch: pytest.MonkeyPatch) -> None:
    """FaViT-B0 with one block a stage: every kind of operation, a third of the time."""
    shape = favit.Shape((32, 64, 128, 256), (1, 1, 1, 1))
    monkeypatch.setitem(favit.SHAPES, "favit_b0", shape)
