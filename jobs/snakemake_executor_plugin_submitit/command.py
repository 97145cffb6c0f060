"""What an allocation runs for a job: its shell command itself, or a nested Snakemake.

A nested Snakemake costs seconds and a hundred megabytes a job, so a plain shell rule does without.
What makes a rule plain is a list of what is allowed; whatever else Snakemake can do goes nested.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake.shell import shell
from snakemake_interface_executor_plugins.settings import SharedFSUsage

PLAIN_OUTPUT_FLAGS = {"report", "protected", "touch", "directory", "ensure"}
PLAIN_INPUT_FLAGS = PLAIN_OUTPUT_FLAGS | {"ancient", "temp"}
LONGEST_COMMAND = 100_000  # bytes; Linux takes no argument above 128 KiB
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
# A shell that handles the warning signals waits for the command in its foreground, and then goes on;
# one that does not would die of them and leave the command behind.
STAY = "trap : USR2 TERM; "


@dataclass
class Command:
    """An argument vector, and what the allocation does around it."""

    argv: list[str]
    nested: bool
    env: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)  # must exist on the node before it starts
    stale: list[str] = field(default_factory=list)  # outputs, removed before each later start
    tmpdir: bool = False  # whether TMPDIR and its like are set to the node's temporary folder


def is_plain(job: Any, workflow: Any) -> bool:
    """Whether the job's shell command may run without a nested Snakemake around it."""
    if job.is_group() or not job.is_shell or job.is_containerized:
        return False
    rule, usage = job.rule, workflow.storage_settings.shared_fs_usage
    unusual = (
        rule.conda_env, rule.container_img, rule.env_modules, rule.shadow_depth, rule.cache.output,
        rule.is_checkpoint, rule.is_handover, rule.is_template_engine, job.benchmark,
        job.resources.get("shell_exec"), job.is_pipe, job.is_service,
        workflow.remote_execution_settings.precommand,
        not {SharedFSUsage.PERSISTENCE, SharedFSUsage.INPUT_OUTPUT, SharedFSUsage.SOURCES} <= set(usage),
        not flags(job.output) <= PLAIN_OUTPUT_FLAGS,
        not flags(job.input) <= PLAIN_INPUT_FLAGS,
        set_by_user(rule.resources.get("tmpdir")),
        Path(shell_executable()).name not in ("bash", "sh", "dash"),
        "<TBD>" in job.shellcmd,
        len(job.shellcmd.encode()) > LONGEST_COMMAND,
    )  # fmt: skip
    return not any(unusual)


def flags(files: Any) -> set[str]:
    """The flags, such as temp, that any of the files carries."""
    return {name for file in files for name, value in getattr(file, "flags", {}).items() if value}


def set_by_user(tmpdir: Any) -> bool:
    return tmpdir is not None and getattr(tmpdir, "raw", "system_tmpdir") != "system_tmpdir"


def shell_executable() -> str:
    return shell.get_executable() or shutil.which("sh") or "/bin/sh"


def plain(job: Any) -> Command:
    """The job's own shell command, in the surroundings that Snakemake's shell gives it."""
    executable = shell_executable()
    prefix, suffix = shell._get_process_prefix(executable), shell._process_suffix
    script = STAY + " ".join((prefix, job.shellcmd, suffix)).strip()
    return Command(
        argv=[executable, "-c", script],
        nested=False,
        env={name: str(job.threads) for name in THREAD_VARIABLES},
        inputs=[str(f) for f in job.input],
        stale=[str(f) for f in job.output],
        tmpdir=True,
    )


def nested(job: Any, command: str, workflow: Any) -> Command:
    """`command` (a nested Snakemake) such that it leaves the main process's bookkeeping alone.

    Without the shared persistence it does not remove the marker that the job is incomplete, by which
    a job that ends while the main process is dead is recognised; the folders that hang on the
    persistence's are then named one by one.
    """
    persistence, usage = workflow.persistence, workflow.storage_settings.shared_fs_usage
    others = sorted(u.item_to_choice() for u in set(usage) - {SharedFSUsage.PERSISTENCE})
    options = ["--shared-fs-usage", *(others or ["none"])]
    if SharedFSUsage.PERSISTENCE in usage:
        options += ["--conda-prefix", str(Path(persistence.conda_env_path).absolute())]
        options += ["--apptainer-prefix", str(Path(persistence.container_img_path).absolute())]
        options += ["--shadow-prefix", str(Path(persistence.path).absolute())]
    script = STAY + " ".join([command, *options])
    return Command(argv=["/bin/bash", "-c", script], nested=True)


def digest(job: Any) -> str:
    """What the job would do, as far as the main process can tell: another digest is another job."""
    jobs = sorted(job, key=lambda j: j.rule.name) if job.is_group() else [job]
    parts = [[j.rule.name, j.wildcards_dict, j.shellcmd, [str(f) for f in j.output]] for j in jobs]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def key(job: Any) -> str:
    """Which job it is, whatever it would do: its rule and outputs."""
    outputs = sorted(str(f) for f in job.output)
    names = sorted(job.rules) if job.is_group() else [job.rule.name]
    wildcards = {} if outputs else job.wildcards_dict
    text = json.dumps([names, outputs, wildcards], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
