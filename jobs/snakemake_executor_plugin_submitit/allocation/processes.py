"""Look at this host's processes in /proc: who they are and what they started; and signal them.

A process group does not reach children that started a session of their own (torchrun's workers do),
and a signal to everybody kills those that do not know it: a pipeline's `tee`, the shell, torchrun.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")


def stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name (state, parent ...), None if there is no such process."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def started(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot, None if it is gone or a zombie.

    Together with its id this tells a process from a later one that got the same id.
    """
    fields = stat_fields(pid)
    return None if not fields or fields[0] == "Z" else fields[19]


def parent(pid: int) -> int | None:
    """Return the process that started this one or, where that is gone, took it on; None if this one is gone."""
    fields = stat_fields(pid)
    return int(fields[1]) if fields else None


def arguments(pid: int) -> list[bytes]:
    """Return the argument vector, empty for a process that is gone, is ending, or is not ours to see."""
    return _separated(pid, "cmdline")


def environment(pid: int) -> list[bytes]:
    """Return the variables that a process was started with, as NAME=VALUE; empty as for `arguments`."""
    return _separated(pid, "environ")


def _separated(pid: int, name: str) -> list[bytes]:
    try:
        content = (PROC / str(pid) / name).read_bytes()
    except OSError:
        return []
    return content.removesuffix(b"\0").split(b"\0") if content else []


def descendants(root: int) -> list[int]:
    """Return `root` and everything that it started, parents before children."""
    children = defaultdict(list)
    for path in PROC.glob("[0-9]*"):
        if (above := parent(int(path.name))) is not None:
            children[above].append(int(path.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def catches(pid: int, signum: int) -> bool:
    """Return whether the process has a handler for the signal."""
    with contextlib.suppress(OSError, ValueError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False


def send(root: int, signum: int, *, only_catching: bool) -> dict[int, list[bytes]]:
    """Signal `root` and its descendants, children first. Return those that have a handler for the signal.

    With each come its arguments, from before the signal: it may be gone the moment after. With
    `only_catching` nobody else is signalled.
    """
    handled = {}
    for pid in reversed(descendants(root)):
        caught = catches(pid, signum)
        if caught or not only_catching:
            before = arguments(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)
                if caught:
                    handled[pid] = before
    return handled


def send_to(pids: Sequence[int], signum: int) -> None:
    """Signal these processes, the last first, which are children where `descendants` found them."""
    for pid in reversed(pids):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (PR_SET_CHILD_SUBREAPER of linux/prctl.h)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(36, 1, 0, 0, 0)


def children(pid: int) -> list[int]:
    """Return the processes whose parent this one is."""
    return [int(path.name) for path in PROC.glob("[0-9]*") if parent(int(path.name)) == pid]


def family(root: int) -> list[int]:
    """Return `root` and everything that it started, like `descendants`, at little cost where the kernel lists children.

    Without looking at every process of a large node, so that it may be asked each second.
    """
    found = [root]
    for pid in found:
        tasks = PROC / str(pid) / "task"
        try:
            lists = [task / "children" for task in tasks.iterdir()]
        except OSError:
            continue
        for children in lists:
            try:
                found += [int(child) for child in children.read_text().split()]
            except FileNotFoundError:
                if pid == root and children.parent.exists():  # a kernel without CONFIG_PROC_CHILDREN
                    return descendants(root)
            except OSError:
                continue
    return found
