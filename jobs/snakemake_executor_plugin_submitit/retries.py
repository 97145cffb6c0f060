"""Decide what the next attempt of a failed job gets, and whether there is to be one.

Snakemake counts attempts and allows a rule's `retries` more; an executor has no say in that but to
set a job's count of attempts, which the scheduler reads once the failure was told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .failure import out_of_memory
from .tickets import Ticket
from .units import megabytes

# sbatch's options for memory that a rule or profile may give past the executor's own: they stand as they are.
FREE_OPTIONS = ("mem", "mem-per-cpu", "mem_per_cpu", "mem-per-gpu", "mem_per_gpu")


class Retries:
    """The memory that jobs must ask for after out-of-memory kills."""

    def __init__(self, memory_factor: float) -> None:
        self.memory_factor = memory_factor
        self._floor_mb: dict[str, int] = {}

    def memory_floor_mb(self, key: str) -> int:
        """Return what the job must at least ask for, of the node or each CPU; 0 if it was never killed for it."""
        return self._floor_mb.get(key, 0)

    def after_failure(self, job: Any, ticket: Ticket) -> str:
        """Prepare the next attempt, or rule it out. Return a line for people, empty if nothing is special."""
        if ticket.state is not None and ticket.state.name == "CANCELLED":
            rule_out(job)  # somebody wants it gone
            return ""
        verdict = ticket.batch.verdict(ticket.index)
        if not out_of_memory(verdict, ticket.state, ticket.boot) or not comes_again(job):
            return ""
        asked, of_what = memory_asked(ticket.batch.parameters)
        more = math.ceil(asked * self.memory_factor)
        if more <= asked:
            return ""
        self._floor_mb[ticket.task.key] = more
        return f"retrying with {more} MB{of_what}"


def memory_asked(parameters: Mapping[str, Any]) -> tuple[int, str]:
    """Return the megabytes that a job asked for and, in words, of what; 0 where no more can be asked for.

    That is so without a request, and where memory is among the free options of sbatch.
    """
    if any(name in parameters.get("additional_parameters", {}) for name in FREE_OPTIONS):
        return 0, ""
    if "mem_per_cpu" in parameters:
        return megabytes(parameters["mem_per_cpu"]), " for each CPU"
    return megabytes(parameters.get("mem", 0)), ""


def comes_again(job: Any) -> bool:
    """Return whether Snakemake will try the job again when it has failed now."""
    return bool(job.restart_times > job.attempt - 1)


def rule_out(job: Any) -> None:
    """Use up the job's attempts, so that Snakemake does not try it again."""
    job.attempt = job.restart_times + 1
