"""Decide what the next attempt of a failed job gets, and whether there is to be one.

Snakemake counts attempts and allows a rule's `retries` more; an executor has no say in that but to
set a job's count of attempts, which the scheduler reads once the failure was told.
"""

from __future__ import annotations

from typing import Any

from .failure import out_of_memory
from .tickets import Ticket


class Retries:
    """The memory that jobs must ask for after out-of-memory kills."""

    def __init__(self, memory_factor: float) -> None:
        self.memory_factor = memory_factor
        self._floor_mb: dict[str, int] = {}

    def memory_floor_mb(self, key: str) -> int:
        """Return what the job must at least ask for, 0 if it was never killed for its memory."""
        return self._floor_mb.get(key, 0)

    def after_failure(self, job: Any, ticket: Ticket) -> str:
        """Prepare the next attempt, or rule it out. Return a line for people, empty if nothing is special."""
        if ticket.state is not None and ticket.state.name == "CANCELLED":
            rule_out(job)  # somebody wants it gone
            return ""
        verdict = ticket.batch.verdict(ticket.index)
        if not ticket.memory_mb or not out_of_memory(verdict, ticket.state, ticket.boot):
            return ""
        more = int(ticket.memory_mb * self.memory_factor)
        self._floor_mb[ticket.task.key] = more
        return f"retrying with {more} MB" if comes_again(job) else ""


def comes_again(job: Any) -> bool:
    """Return whether Snakemake will try the job again when it has failed now."""
    return bool(job.restart_times > job.attempt - 1)


def rule_out(job: Any) -> None:
    """Use up the job's attempts, so that Snakemake does not try it again."""
    job.attempt = job.restart_times + 1
