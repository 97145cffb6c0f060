"""Name jobs and arrays, and fill in the other texts that a rule writes with its wildcards in braces.

A constant text costs Snakemake nothing; a function it calls many times for each job.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

UNSAFE = re.compile(r"[^\w.+=@-]+")
PLACE = re.compile(r"\{(params\.)?(\w+)\}")
LONGEST = 120  # bytes


def safe(text: str) -> str:
    """Make `text` a file name and a SLURM job name, without slashes, blanks and shell characters.

    Where that changes it, a few digits of its digest keep apart what would become the same name.
    """
    name = UNSAFE.sub("_", text).strip("._")
    name = name.encode()[:LONGEST].decode(errors="ignore")
    if name == text:
        return name
    return f"{name or 'job'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def filled(job: Any, resource: str, quote: Callable[[str], str] = str) -> str | None:
    """Return a resource's text with each `{wildcard}` and `{params.name}` filled in, None where the job has none.

    What names neither stays as it is. `quote` takes from a value what would have a meaning in the text.
    """
    text = None if job.is_group() else job.resources.get(resource)
    if not text:
        return None
    wildcards = job.wildcards_dict

    def value(place: re.Match[str]) -> str:
        found = getattr(job.params, place[2], None) if place[1] else wildcards.get(place[2])
        return place[0] if found is None else quote(str(found))

    return PLACE.sub(value, str(text))


def job_label(job: Any) -> str:
    """Return the job's name: the resource `job_label`, else the rule and its wildcards."""
    if given := filled(job, "job_label"):
        return safe(given)
    if job.is_group():
        return safe(f"group.{job.groupid}")
    return safe(".".join([job.rule.name, *(str(value) for value in job.wildcards_dict.values())]))


def array_label(job: Any) -> str:
    """Return the array's name: the resource `array_label`, else the rule."""
    if job.is_group():
        return safe(f"group.{'+'.join(sorted(job.rules))}")
    return safe(filled(job, "array_label") or job.rule.name)
