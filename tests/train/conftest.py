"""What all tests of training are given."""

from __future__ import annotations

import pytest

from tests.train.runs import TASKS


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    """Each task in turn."""
    return request.param
