"""Choose what an allocation runs for a job: its shell command itself, or a nested Snakemake.

A nested Snakemake costs seconds and a hundred megabytes a job, so a plain shell rule does without.
What makes a rule plain is a list of what is allowed; whatever else Snakemake can do goes nested.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake.io import is_flagged
from snakemake.shell import shell
from snakemake_interface_executor_plugins.settings import SharedFSUsage

PLAIN_OUTPUT_FLAGS = {"report", "protected", "touch", "directory", "ensure", "update", "temp"}
PLAIN_INPUT_FLAGS = PLAIN_OUTPUT_FLAGS | {"ancient", "before_update"}
SHARED_FOR_PLAIN = {SharedFSUsage.PERSISTENCE, SharedFSUsage.INPUT_OUTPUT, SharedFSUsage.SOURCES}
KNOWN_SHELLS = ("bash", "sh", "dash")
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


def why_nested(job: Any, workflow: Any) -> list[str]:
    """List the reasons for which the job needs a nested Snakemake; none if its shell command may run alone."""
    if job.is_group():
        return ["it is a group of jobs"]
    if not job.is_shell:
        return ["it has no shell command"]
    return [*_uses(job), *_unknown_flags(job), *_surroundings(job, workflow), *_command_trouble(job)]


def _uses(job: Any) -> list[str]:
    """List what the rule asks that only Snakemake can do, in Snakemake's words."""
    rule = job.rule
    used = {
        "container": job.is_containerized or rule.container_img,
        "conda": rule.conda_env,
        "envmodules": rule.env_modules,
        "shadow": rule.shadow_depth,
        "cache": rule.cache.output,
        "checkpoint": rule.is_checkpoint,
        "handover": rule.is_handover,
        "template_engine": rule.is_template_engine,
        "benchmark": job.benchmark,
        "pipe": job.is_pipe,
        "service": job.is_service,
        "resources.shell_exec": job.resources.get("shell_exec"),
        "resources.tmpdir": set_by_user(rule.resources.get("tmpdir")),
    }
    return [f"its rule uses {name}" for name, value in used.items() if value]


def _unknown_flags(job: Any) -> list[str]:
    outputs = flags(job.output) - PLAIN_OUTPUT_FLAGS
    inputs = flags(job.input) - PLAIN_INPUT_FLAGS
    return [
        *(f"an output is {name}()" for name in sorted(outputs)),
        *(f"an input is {name}()" for name in sorted(inputs)),
    ]


def _surroundings(job: Any, workflow: Any) -> list[str]:
    """List what a command alone would miss because of the workflow's settings."""
    missing = SHARED_FOR_PLAIN - set(workflow.storage_settings.shared_fs_usage)
    found = [f"{usage.item_to_choice()} is not shared with the nodes" for usage in missing]
    if workflow.remote_execution_settings.precommand:
        found.append("there is a precommand")
    if Path(shell_executable()).name not in KNOWN_SHELLS:
        found.append(f"the shell is {shell_executable()}")
    return sorted(found)


def _command_trouble(job: Any) -> list[str]:
    found, text = [], job.shellcmd  # Snakemake makes it anew whenever it is asked
    if "<TBD>" in text:
        found.append("its command is known only on the node")
    if len(text.encode()) > LONGEST_COMMAND:
        found.append(f"its command is longer than {LONGEST_COMMAND} bytes")
    return found


def flags(files: Any) -> set[str]:
    """Return the flags, such as temp, that any of the files carries."""
    return {name for file in files for name, value in getattr(file, "flags", {}).items() if value}


def set_by_user(tmpdir: Any) -> bool:
    """Return whether the rule names a temporary folder of its own."""
    return tmpdir is not None and getattr(tmpdir, "raw", "system_tmpdir") != "system_tmpdir"


def shell_executable() -> str:
    """Return the shell that Snakemake runs commands with."""
    return shell.get_executable() or shutil.which("sh") or "/bin/sh"


def plain(job: Any) -> Command:
    """Return the job's own shell command, in the surroundings that Snakemake's shell gives it."""
    executable = shell_executable()
    prefix, suffix = shell._get_process_prefix(executable), shell._process_suffix
    script = STAY + " ".join((prefix, job.shellcmd, suffix)).strip()
    return Command(
        argv=[executable, "-c", script],
        nested=False,
        env={name: str(job.threads) for name in THREAD_VARIABLES},
        inputs=[str(f) for f in job.input],
        stale=[str(f) for f in job.output if not is_flagged(f, "update")],
        tmpdir=True,
    )


def nested(job: Any, command: str, workflow: Any) -> Command:
    """Return `command` (a nested Snakemake) such that it leaves the main process's bookkeeping alone.

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
    shared = SharedFSUsage.INPUT_OUTPUT in usage
    inputs = [str(f) for f in job.get_wait_for_files()] if shared else []
    script = STAY + " ".join([command, shlex.join(options)])
    return Command(argv=["/bin/bash", "-c", script], nested=True, inputs=inputs)


def shorten(argv: list[str], script: Path) -> list[str]:
    """Return the command, its shell text in a file if it is longer than an argument may be, as a large group's is."""
    if len(argv[-1].encode()) <= LONGEST_COMMAND:
        return argv
    script.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    script.write_text(argv[-1] + "\n")
    return [*argv[:-2], str(script)]


def take_along(argv: list[str], script: Path) -> list[str]:
    """Return the command with a copy of its file at `script`, if it has one: the folder that it lies in may go."""
    old = Path(argv[-1]) if argv else script
    if old.name != script.name:
        return argv
    script.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(old, script)
    return [*argv[:-1], str(script)]


def digest(job: Any) -> str:
    """Return a digest of what the job would do, as far as the main process can tell."""
    jobs = sorted(job, key=lambda j: j.rule.name) if job.is_group() else [job]
    parts = [[j.rule.name, j.wildcards_dict, j.shellcmd, [str(f) for f in j.output]] for j in jobs]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def body(job: Any) -> list[str]:
    """Return the code of the job that is no shell command: bodies under `run:`, scripts, notebooks."""
    found = []
    for member in sorted(job, key=lambda j: j.rule.name) if job.is_group() else [job]:
        rule = member.rule
        if rule.shellcmd is None and rule.run_func_src:
            found.append(rule.run_func_src)
        if path := rule.script or rule.notebook:
            place = Path(str(member._path_to_source_file(path).get_path_or_uri(secret_free=True)))
            found.append(place.read_text(errors="replace") if place.is_file() else str(place))
    return found


def key(job: Any) -> str:
    """Return a digest of which job it is, whatever it would do: its rule and outputs."""
    outputs = sorted(str(f) for f in job.output)
    names = sorted(job.rules) if job.is_group() else [job.rule.name]
    wildcards = {} if outputs else job.wildcards_dict
    text = json.dumps([names, outputs, wildcards], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
