"""Describe a Snakemake job for the allocation that will run it."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import command
from .command import Command
from .journal import Task
from .labels import filled, job_label


def describe(
    job: Any,
    key: str,
    what: Command,
    log: Path,
    parameters: Mapping[str, Any],
    updated: dict[str, str],
    request: str,
) -> Task:
    """Return the task that a job becomes: what it runs, with what, and what it may take.

    `updated` are copies of the files that it updates, `request` is the digest of what it asks for.
    """
    progress = filled(job, "progress", glob.escape)
    return Task(
        key=key,
        digest=command.digest(job),
        label=job_label(job),
        log=str(log),
        argv=what.argv,
        env=what.env,
        inputs=what.inputs,
        stale=what.stale,
        progress=[progress] if progress else [],
        tmpdir=what.tmpdir,
        nested=what.nested,
        limit_s=60.0 * parameters["time"] if "time" in parameters else None,
        updated=updated,
        pack_line=" ".join(re.split(r"[\r\n]+", filled(job, "pack_line") or "")) if not what.nested else "",
        pack_command=(filled(job, "pack_command") or "").strip() if not what.nested else "",
        request=request,
    )
