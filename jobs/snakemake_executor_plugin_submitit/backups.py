"""Back up the files that a job updates, whoever runs the job.

Snakemake puts a file under `update()` back when its job fails, from a copy that it makes before the job
starts. It makes the copy where it runs the job, which for a remote job is nowhere, or in a nested
Snakemake whose copies the main process cannot see. The main process then finds no backup and deletes
the file as incomplete. So the copy is made here when the job is submitted; Snakemake's main process
restores or deletes it once the job has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake.io import is_flagged
from snakemake_interface_executor_plugins.settings import SharedFSUsage


def back_up(job: Any, workflow: Any) -> dict[str, str]:
    """Copy each existing file that the job (or a job of the group) updates. Return file -> copy.

    Call it before the job is marked as started: a job that is marked already was submitted by an
    earlier main process, and its backup is the file as it was, before a start that nobody saw the
    end of.
    """
    if SharedFSUsage.INPUT_OUTPUT not in workflow.storage_settings.shared_fs_usage:
        return {}
    made = {}
    persistence = workflow.persistence
    for member in job if job.is_group() else [job]:
        updated = list(updated_files(member))
        was_submitted = bool(updated and persistence.external_jobids(member))  # which reads a file
        for path in updated:
            backup = persistence._get_backup_path(path)
            if was_submitted and backup.exists():
                persistence.restore_output(path)
            persistence.cleanup_backup(path)  # one that is left is nobody's, or was just restored from
            if path.exists():
                persistence.backup_output(path)
                made[str(path)] = str(backup)
    return made


def updated_files(job: Any) -> Iterator[Path]:
    """Return the outputs of a single job that are under `update()`."""
    return (Path(file) for file in job.output if is_flagged(file, "update"))
