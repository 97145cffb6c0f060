"""A record of which configuration asks for which results of a shared folder. Free of torch.

Several configurations may share a results folder: colleagues' checkouts, or a second file in one. Each leaves a note
below ``<results>/.configurations`` of the settings that it asks for, and of all that it ever asked for, so that one
of them can tell what it has given up from what is another's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from favit.disk.files import write_atomic

_FOLDER = ".configurations"


class Ledger:
    """The notes of one results folder, seen from the configuration in ``file``."""

    def __init__(self, root: Path, file: Path | str) -> None:
        self._file = str(Path(file).resolve())
        self._folder = root / _FOLDER
        self._note = self._folder / f"{hashlib.sha256(self._file.encode()).hexdigest()[:16]}.json"

    def register(self, settings: Iterable[str]) -> None:
        """Record what this configuration asks for now, by digests of settings, if it is new."""
        asks = sorted(set(settings))
        ever = sorted({*asks, *self.ever()})
        content = {"configuration": self._file, "asks": asks, "ever": ever}
        if _read(self._note) != content:
            try:
                write_atomic(self._note, json.dumps(content, indent=1) + "\n")
            except PermissionError:
                return  # who may not write here can neither train here nor prune

    def ever(self) -> frozenset[str]:
        """Everything that this configuration has asked for so far."""
        return frozenset(_texts(_read(self._note), "ever"))

    def others(self) -> dict[str, str]:
        """The results that other configurations ask for: digest of settings -> the file of one of them."""
        found: dict[str, str] = {}
        for note in sorted(self._folder.glob("*.json")):
            content = _read(note)
            if note != self._note:
                found.update(dict.fromkeys(_texts(content, "asks"), str(content.get("configuration"))))
        return found


def _read(note: Path) -> dict[str, object]:
    try:
        return dict(json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _texts(content: dict[str, object], key: str) -> list[str]:
    found = content.get(key)
    return [str(text) for text in found] if isinstance(found, list) else []
