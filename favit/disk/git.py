"""Ask git about a folder; None without git or a repository."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str | None:
    """A git command's output in ``folder``; ``None`` if the command fails or cannot be run."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def commit_of(folder: Path, files: list[Path] | None = None) -> str | None:
    """The commit of the repository around ``folder``, ``None`` if there is none.

    "+changes" is added where ``files`` (all of the tracked files by default) differ from it or are not tracked.
    """
    head = git(folder, "rev-parse", "HEAD")
    if head is None:
        return None
    which = ["--untracked-files=no"] if files is None else ["--untracked-files=all", "--", *map(str, files)]
    changed = git(folder, "status", "--porcelain", *which)
    return head.strip() + ("+changes" if changed else "")
