"""Checkpoints on disk: complete or absent, and never used for another run.

A file is a line with the SHA-256 of the rest, a line of JSON that says whose it is and what is known of the run's
life, then the trainer's state as it packs it. Each save goes to a new file named by its position in the run; the two
newest are kept, so the previous one is there until the new one is whole, and after it should the disk lose that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from favit.disk.files import write_atomic
from favit.disk.run_folder import RunFolder

_MAGIC = b"favit-checkpoint-2"
_KEPT = 2


class Unusable(Exception):
    """A checkpoint cannot be used; the message says why."""


def save(folder: RunFolder, position: int, fingerprint: str, state: bytes, life: Mapping[str, Any]) -> Path:
    """Write the packed ``state`` as the checkpoint of ``position`` and drop all but the two newest.

    ``life`` is what is known of the run besides. ``OSError`` leaves the earlier checkpoints as they are.
    """
    head = json.dumps({"fingerprint": fingerprint, "life": dict(life)}).encode()
    content = head + b"\n" + state
    digest = hashlib.sha256(content).hexdigest().encode()
    path = folder.checkpoint(position)
    write_atomic(path, b"%s %s\n%s" % (_MAGIC, digest, content))
    for old in folder.checkpoints()[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load(
    folder: RunFolder, fingerprint: str, tell: Callable[[str], None]
) -> tuple[bytes, dict[str, Any]] | None:
    """The newest usable packed state, and what was kept with it; ``None`` if there is none.

    Each file passed over, torn or of another fingerprint, is named to ``tell``.
    """
    for path in folder.checkpoints():
        try:
            return _read(path, fingerprint)
        except Unusable as reason:
            tell(f"skipped checkpoint {path.name}: {reason}")
    return None


def intact(folder: RunFolder) -> Path | None:
    """The newest checkpoint that is whole; ``None`` if there is none, ``OSError`` if that cannot be told."""
    for path in folder.checkpoints():
        try:
            _content(path)
        except Unusable:
            continue
        return path
    return None


def _read(path: Path, fingerprint: str) -> tuple[bytes, dict[str, Any]]:
    content = _content(path)
    head, _, state = content.partition(b"\n")
    saved = json.loads(head)
    if saved["fingerprint"] != fingerprint:
        raise Unusable(f"it belongs to another run ({saved['fingerprint'][:12]}, this is {fingerprint[:12]})")
    return state, saved["life"]


def _content(path: Path) -> bytes:
    """What follows the first line, which vouches for it."""
    first, _, content = path.read_bytes().partition(b"\n")
    if not first.startswith(_MAGIC + b" "):
        raise Unusable("not a checkpoint of this program")
    if hashlib.sha256(content).hexdigest().encode() != first.split()[1]:
        raise Unusable("incomplete (its content does not match its checksum)")
    return content
