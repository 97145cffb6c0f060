"""Allocations that end before their task has begun: it is submitted again, a bounded number of times."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_submitit import again
from snakemake_executor_plugin_submitit.allocation.claim import TOMBSTONE, Life
from snakemake_executor_plugin_submitit.journal import Batch
from snakemake_executor_plugin_submitit.tickets import MOST_UNBEGUN

from .test_watching import Clock, Following, Scripted


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Following:
    return Following(tmp_path, Clock(monkeypatch), Scripted())


def test_an_allocation_that_failed_before_its_task_began_is_submitted_again(following: Following) -> None:
    """Nothing has run, and nothing can: the claim is taken. So it is a bounded number of times, then it has failed."""
    ticket = following.tickets[0]
    for _ in range(MOST_UNBEGUN):
        following.all_are("FAILED")
        following.run(20)
        assert ticket.displaced and not ticket.over and ticket.batch.claimed_by(0) == TOMBSTONE
        ticket.batch.files.claim(0).unlink()  # as in the batch to which it is moved
        ticket.forget_state()
    following.run(30)
    assert not ticket.displaced and "never started" in (ticket.failure or "")


@pytest.mark.parametrize("began", [True, False])
def test_members_of_a_pack_that_never_began_are_not_submitted_for_ever(
    following: Following, began: bool
) -> None:
    """A pack that works has only not come to them yet."""
    ticket = following.tickets[0]
    ticket.batch.pack = {"slots": 2}
    if began:
        ticket.batch.files.pack_life("10_0").touch()
    for _ in range(MOST_UNBEGUN + 1):
        ticket.forget_state()
        following.all_are("FAILED")
        following.run(30)
    assert ticket.displaced is began and ticket.over is not began


@pytest.mark.parametrize("packed", [False, True])
def test_starts_that_never_began_count_however_often_the_task_moves(
    following: Following, tmp_path: Path, packed: bool
) -> None:
    """Where nodes do not boot, for example, nobody notes a start; a member on a list that is worked on has none."""
    ticket = following.tickets[0]
    ticket.job, ticket.task.argv = SimpleNamespace(register=lambda token: None), ["true"]
    stalled = []
    for number in range(4):
        if packed:
            ticket.batch.pack = {"slots": 2}
        if number == 2:
            ticket.batch.files.pack_life("10_0").touch()
        stalled.append(next(most for most in range(9) if not again.why_not(ticket, most)))
        ticket.batch.end(ticket.index)
        new = Batch(tmp_path, "a", "slurm", {}, {}, str(tmp_path))
        again.prepare(ticket, new)
        again.move(ticket, new)
    assert stalled == ([1, 2, 2, 3] if packed else [1, 2, 3, 4])
    life = Life.begin(ticket.batch.path, 0, "", 0.01)
    assert life.stalled == stalled[-1] and again.why_not(ticket, life.stalled + 1) == ""
