"""Records of what files were made from, to tell whether they are current. Free of torch.

Times of files say little about that, and nothing after a copy or on a machine whose clock is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from favit.disk.files import sha256_of, write_atomic


def record(note: Path, digest: str, files: Iterable[Path]) -> None:
    """Write down that ``files`` were made from what ``digest`` stands for.

    Nothing is written where a file is gone again: a second Snakemake has begun to make them, and removed what it will
    write and record itself.
    """
    try:
        content = {"digest": digest, "files": _digests(files)}
    except FileNotFoundError:
        return
    write_atomic(note, json.dumps(content) + "\n")


def is_current(note: Path, digest: str, files: Iterable[Path]) -> bool:
    """True if all ``files`` are as they were made, and were made from ``digest``."""
    try:
        return bool(json.loads(note.read_text()) == {"digest": digest, "files": _digests(files)})
    except (OSError, ValueError):
        return False


def _digests(files: Iterable[Path]) -> dict[str, str]:
    # Two processes that make a table at once, of different results, may leave files of both.
    return {path.name: sha256_of(path) for path in files}
