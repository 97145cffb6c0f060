"""Checkpoints: whole or not there, and never taken for another run's.

A file is one line of text with the SHA-256 of the rest, then what ``torch.save``
wrote. Each save goes to a new file named by its position in the run; the two
newest are kept, so the previous one is there until the new one is whole, and
after it should the disk lose that.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from favit.disk.files import write_atomic
from favit.disk.run_folder import RunFolder

_MAGIC = b"favit-checkpoint-1"
_KEPT = 2


class Unusable(Exception):
    """Why a checkpoint is not used."""


def save(
    folder: RunFolder, position: int, fingerprint: str, state: dict[str, Any], life: dict[str, Any]
) -> Path:
    """Write ``state`` as the checkpoint of ``position`` and drop all but the two newest.

    ``state`` is the trainer's, ``life`` what is known of the run besides; both hold only what
    ``torch.load(weights_only=True)`` takes: tensors, numbers, text, lists and dicts. ``OSError`` leaves the
    earlier checkpoints as they are.
    """
    buffer = io.BytesIO()
    torch.save({"fingerprint": fingerprint, "state": state, "life": life}, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest().encode()
    path = folder.checkpoint(position)
    write_atomic(path, b"%s %s\n%s" % (_MAGIC, digest, content))
    for old in folder.checkpoints()[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load(
    folder: RunFolder, fingerprint: str, tell: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The newest usable state, on the CPU, and what was kept with it; ``None`` where there is none.

    Each file passed over, torn or of another fingerprint, is named to ``tell``.
    """
    for path in folder.checkpoints():
        try:
            return _read(path, fingerprint)
        except Unusable as reason:
            tell(f"{path.name} is not used: {reason}")
    return None


def _read(path: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, Any]]:
    content = path.read_bytes()
    head, _, body = content.partition(b"\n")
    if not head.startswith(_MAGIC + b" "):
        raise Unusable("it is not a checkpoint of this program")
    if hashlib.sha256(body).hexdigest().encode() != head.split()[1]:
        raise Unusable("it is torn (its content does not match its checksum)")
    saved = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if saved["fingerprint"] != fingerprint:
        raise Unusable(f"it belongs to another run ({saved['fingerprint'][:12]}, this is {fingerprint[:12]})")
    return saved["state"], saved["life"]
