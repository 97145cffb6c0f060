"""Read and write the small files that the allocation and the main process share, each whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def unique() -> str:
    """Return a name that nobody else has."""
    return os.urandom(16).hex()


def write_json(path: Path, value: Any, *, sync: bool = True) -> None:
    """Write `value` under a temporary name, sync it, rename it to `path`.

    Without `sync` a power cut may leave an empty file: for what matters only while processes live.
    """
    temporary = path.with_name(f".{path.name}.{unique()}")
    try:
        with temporary.open("w") as file:
            json.dump(value, file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any | None:
    """Return the file's value, None if there is no such file or a crash left it half-written."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None


def create_once(path: Path, text: str) -> bool:
    """Create `path` with `text` in it, unless it exists. Return whether this caller created it.

    A hard link is exclusive and arrives with its content, on NFS too; an exclusive `open` is
    followed by a moment in which the winner's file is empty.
    """
    temporary = path.with_name(f".{path.name}.{unique()}")
    temporary.write_text(text)
    try:
        os.link(temporary, path)
        return True
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def file_system_time(folder: Path) -> float:
    """Return the time of the folder's file system, with which file times compare on every host."""
    probe = folder / f".clock.{unique()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
