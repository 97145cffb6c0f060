"""Format the report of a failed job: one block that says why."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from .allocation.verdict import Verdict
from .clusters.base import State

TAIL_LINES = 12
TAIL_BYTES = 20_000

# What libraries say when a GPU's memory is used up. The command then fails by itself: to SLURM it is only FAILED.
GPU_MEMORY_WORDS = (
    "cuda out of memory",  # PyTorch
    "hip out of memory",  # PyTorch on AMD
    "xpu out of memory",
    "cuda_error_out_of_memory",  # the driver's name, as TensorFlow and JAX give it
    "cudaerrormemoryallocation",  # the runtime's, as CuPy and others give it
    "cublas_status_alloc_failed",
    "cuda error: out of memory",
    "resource_exhausted: out of memory",  # XLA
)
GPU_MEMORY = "out of GPU memory; more mem_mb does not help"
START = "== "  # begins the lines of the allocation's own in a log

WORDS = {
    "OUT_OF_MEMORY": "killed for using more memory than it asked for",
    "TIMEOUT": "ran into its time limit without stopping in time",
    "CANCELLED": "cancelled",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not boot",
    "DEADLINE": "missed its deadline",
    "PREEMPTED": "preempted and not requeued",
    "LOST": "lost: the cluster no longer knows it, and it left no verdict",
    "COMPLETED": "ended without leaving a verdict (was the node's disk full, or this folder not shared?)",
    "FAILED": "ended without leaving a verdict: its command never started, or was killed with it",
}
UNTOLD = ("LOST", "COMPLETED", "FAILED")  # whose words are about a verdict that is not there


def end_of(path: Path) -> str:
    """Return the end of a file, empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def tail(paths: Iterable[Path], lines: int = TAIL_LINES) -> list[str]:
    """Return the last lines of the first of these files that has any."""
    for path in paths:
        text = end_of(path)
        # A progress bar overwrites its line; what counts is what was on it last.
        found = [line.rsplit("\r", 1)[-1] for line in text.rstrip().split("\n") if line.strip()]
        found = without_epilogue(found)
        if any(not line.startswith(START) for line in found):
            return found[-lines:]
    return []


def without_epilogue(lines: list[str]) -> list[str]:
    """Leave out what a nested Snakemake says after a command has failed: the reason is before it."""
    if "Exiting because a job execution failed. Look above for error messages" not in lines:
        return lines
    said = next((i for i, line in enumerate(lines) if re.match(r"Error in (rule|group) ", line)), len(lines))
    return lines[: said - 1] if said > 1 and lines[said - 1].startswith("[") else lines[:said] or lines


def exit_words(code: int) -> str:
    """Put an exit code into words: 139 is signal 11 (SIGSEGV)."""
    if code > 128:
        try:
            return f"{code} ({signal.Signals(code - 128).name})"
        except ValueError:
            return str(code)
    return str(code) if code >= 0 else "none"


# How slurmstepd puts it into the job's output where SLURM itself watches memory, without cgroups:
# the state is then only FAILED.
MEMORY_WORDS = (
    "exceeded memory limit",
    "exceeded job memory limit",
    "exceeded step memory limit",
    "oom-kill",
    "oom_kill",
)


def out_of_memory(verdict: Verdict | None, state: State | None, boot: Iterable[Path]) -> bool:
    """Return whether the job was killed for its memory, by its own account, SLURM's, or slurmstepd's."""
    if verdict is not None and verdict.out_of_memory:
        return True
    if state is not None and state.name == "OUT_OF_MEMORY":
        return True
    if verdict is not None and verdict.exit_code <= 128:
        return False
    return any(word in line.lower() for line in tail(boot) for word in MEMORY_WORDS)


def gpu_out_of_memory(logs: Iterable[Path], label: str) -> bool:
    """Return whether the log says of the newest start that a GPU's memory was used up."""
    for path in logs:
        text = end_of(path)
        newest = text.rpartition(f"{START}{label}: job ")[2].lower()
        if any(words in newest for words in GPU_MEMORY_WORDS):
            return True
    return False


def block(
    label: str,
    verdict: Verdict | None,
    state: State | None,
    logs: list[Path],
    boot: list[Path],
    hint: str = "",
) -> str:
    """Return the block: what failed, why, where, after how long, its memory, the log's end and its path."""
    memory = out_of_memory(verdict, state, boot)
    name = "OUT_OF_MEMORY" if memory else state.name if state is not None else "FAILED"
    if verdict is not None and not memory and (state is None or state.live or state.name == "COMPLETED"):
        name = "FAILED"
    why = verdict.reason if verdict is not None else ""
    if not why and name == "FAILED" and gpu_out_of_memory(logs, label):
        why = GPU_MEMORY
    if not why and (verdict is None or name not in UNTOLD):
        why = WORDS.get(name, "")
    rows = [("state", f"{name}{' - ' + why if why else ''}")]
    if verdict is not None:
        rows += [
            ("exit code", exit_words(verdict.exit_code)),
            ("job", verdict.job_id),
            ("node", verdict.node),
            ("elapsed", str(timedelta(seconds=max(0, round(verdict.ended - verdict.started))))),
            ("peak memory", f"{verdict.peak_rss_kb / 1024:.0f} MB (largest process)"),
        ]
        if verdict.lives > 1:
            rows.append(("starts", str(verdict.lives)))
    elif state is not None:
        rows += [("job", state.job_id), ("node", state.node), ("elapsed", state.elapsed)]
        rows += [("peak memory", state.peak_memory), ("reason", state.reason)]
    if hint:
        rows.append(("note", hint))
    shown = [f"    {key:<12} {value}" for key, value in rows if value and value != "None"]
    lines = tail([*logs, *boot])
    log = next((p for p in logs if p.exists()), logs[0])
    if lines:
        shown += ["    last lines", *(f"      | {line}" for line in lines)]
    return "\n".join([f"{label} failed", *shown, f"    {'log':<12} {log}"])
