"""`favit accept --prove`: what is proved by running both codes, and above all what is not."""

from __future__ import annotations

import pytest

from tests.conftest import Project
from tests.proof.conftest import acceptances, explain, prove

pytestmark = pytest.mark.slow


def test_a_refactoring_is_proved_once_for_all_seeds(trained: Project) -> None:
    trained.edit(
        "favit/train/learner.py",
        "        return loss.detach()",
        "        found = loss.detach()\n        return found",
    )
    assert explain(trained).count("missing") == 2
    said = prove(trained)
    assert "2 of 2 finished runs proved equal" in said
    assert said.count("equal to the bit (cpu") == 1, "one proof for both seeds"
    assert explain(trained).count("accepted by favit") == 2
    assert "proved: 4 steps and an evaluation equal to the bit on cpu" in explain(trained)
    for records in acceptances(trained):
        (record,) = records
        assert record["proof"]["device"] == "cpu" and record["proof"]["reasons"] == []
        assert record["from"] != record["code"] and record["proof"]["snapshots"][1] == record["snapshot"]
