"""Cancel single jobs of a folder by their names: `python -m snakemake_executor_plugin_submitit cancel JOB ...`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path

from .clusters import make_cluster
from .clusters.base import States
from .journal import Batch, Journal
from .settings import ExecutorSettings

Entry = tuple[Batch, int]


def cancel(folder: Path, names: Iterable[str]) -> str:
    """Cancel the open jobs whose names match and return what was done. Raises NoAnswer.

    A job that shares its allocation is fenced: it stops within a heartbeat, and its neighbours go on. One that
    has an allocation of its own is cancelled with that.
    """
    if not folder.exists():
        return f"No jobs have been submitted from here ({folder} does not exist)."
    opened = list(Journal(folder).open_tasks().values())
    lines, chosen = [], list[Entry]()
    for name in names:
        found = [
            (batch, index)
            for batch, index in opened
            if fnmatch.fnmatchcase(batch.tasks[index].label, name) and not over(batch, index)
        ]
        chosen += found
        if not found:
            lines.append(f"{name}: no job of this name is queued or running.")
    for cluster in {batch.cluster for batch, _ in chosen}:
        ours = [entry for entry in chosen if entry[0].cluster == cluster]
        made = make_cluster(ExecutorSettings(cluster=cluster))
        states: States = made.states({batch.token: batch for batch, _ in ours}.values())
        alone = [(batch, index) for batch, index in ours if batch.pack is None]
        live = [states[batch.token, index] for batch, index in alone if (batch.token, index) in states]
        made.cancel([state.job_id for state in live if state.live])
    for batch, index in chosen:
        if batch.pack is not None:
            batch.end(index)
        else:
            batch.bury(index)  # it may be still to be submitted
        lines.append(f"{batch.tasks[index].label}: cancelled.")
    return "\n".join(lines)


def over(batch: Batch, index: int) -> bool:
    """Return whether the task has ended, or is not wanted any more."""
    return batch.verdict(index) is not None or batch.fenced(index)
