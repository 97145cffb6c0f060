"""Read and write the small files that the allocation and the main process share, each whole or absent."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeVar

    Written = TypeVar("Written")

FULL_DISK_S = 600.0  # for a full disk to get room again, before hours of work count as lost


def unique() -> str:
    """Return a name that nobody else has."""
    return os.urandom(16).hex()


def write_json(path: Path, value: Any, *, sync: bool = True) -> None:
    """Write `value` whole or not at all, see `write_text`."""
    write_text(path, json.dumps(value), sync=sync)


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write `text` under a temporary name, sync it, rename it to `path`.

    Without `sync` a power cut may leave an empty file: for what matters only while processes live.
    """
    temporary = path.with_name(f".{path.name}.{unique()}")
    try:
        with temporary.open("w") as file:
            file.write(text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_line(text: str, to: int = 1) -> None:
    """Write a line to a file descriptor. A full disk keeps nobody from going on, and no locale does."""
    with contextlib.suppress(OSError):
        os.write(to, f"{text}\n".encode(errors="backslashreplace"))


def patiently(write: Callable[[], Written], seconds: float = FULL_DISK_S) -> Written:
    """Call `write` until the disk, or the user's quota, has room for it; after so long its error is raised."""
    end, pause = time.monotonic() + seconds, 1.0
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 30.0)


def read_json(path: Path) -> Any | None:
    """Return the file's value, None if there is no such file or a crash left it half-written."""
    try:
        return json.loads(path.read_bytes())
    except (
        FileNotFoundError,
        NotADirectoryError,
        ValueError,
    ):  # of which JSON's and Unicode's errors are kinds
        return None


def write_intent(path: Path, about: dict[str, Any], tasks: Sequence[dict[str, Any]]) -> None:
    """Write what a batch is and its tasks as one JSON object, each task on a line of its own."""
    head = json.dumps(about | {"tasks": []}).removesuffix("]}")
    write_text(path, head + "\n" + ",\n".join(map(json.dumps, tasks)) + "\n]}\n")


def read_intent(path: Path, index: int) -> dict[str, Any] | None:
    """Return what a batch is with `tasks` = {index: that task}, None if there is no such file.

    Of the others' lines, a thousand maybe, nothing is understood: that would take longer than to start Python.
    """
    try:
        with path.open("rb") as file:
            head = file.readline()
            if head.endswith(b'"tasks": [\n'):
                line = next((line for number, line in enumerate(file) if number == index), b"null")
                about: dict[str, Any] = json.loads(head + b"]}")
                return about | {"tasks": {index: json.loads(line.rstrip(b",\n"))}}
    except (FileNotFoundError, NotADirectoryError):
        return None
    whole: dict[str, Any] | None = read_json(path)  # an earlier version's, on one line
    return None if whole is None else whole | {"tasks": {index: whole["tasks"][index]}}


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
