"""What a job and an array are called."""

from __future__ import annotations

import re
from typing import Any

UNSAFE = re.compile(r"[^\w.+=@-]+")
LONGEST = 120


def safe(text: str) -> str:
    """`text` as a file name and a SLURM job name: no slashes, blanks or shell characters."""
    return UNSAFE.sub("_", text).strip("._")[:LONGEST] or "job"


def job_label(job: Any) -> str:
    """The run's name: the resource `job_label`, else the rule and its wildcards."""
    given = None if job.is_group() else job.resources.get("job_label")
    if given:
        return safe(str(given))
    if job.is_group():
        return safe(f"group.{job.groupid}")
    return safe(".".join([job.rule.name, *(str(value) for value in job.wildcards_dict.values())]))


def array_label(job: Any) -> str:
    """The array's name: the resource `array_label`, else the rule."""
    if job.is_group():
        return safe(f"group.{'+'.join(sorted(job.rules))}")
    return safe(str(job.resources.get("array_label") or job.rule.name))
