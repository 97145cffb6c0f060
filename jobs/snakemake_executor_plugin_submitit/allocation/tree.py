"""Signals for a process and its descendants, found in /proc.

A process group does not reach children that started a session of their own (torchrun's workers do),
and a signal to everybody kills those that do not know it: a pipeline's `tee`, the shell, torchrun.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from pathlib import Path


def descendants(root: int) -> list[int]:
    """`root` and everything that it started, parents before children."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def catches(pid: int, signum: int) -> bool:
    """Whether the process has a handler for the signal."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False


def send(root: int, signum: int, *, only_catching: bool) -> list[int]:
    """Signal `root` and its descendants, children first; those that have a handler for it."""
    handled = []
    for pid in reversed(descendants(root)):
        caught = catches(pid, signum)
        if caught or not only_catching:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)
                if caught:
                    handled.append(pid)
    return handled
