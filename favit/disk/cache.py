"""A cache in a file that may be deleted at any time. Free of torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from favit.disk.files import write_atomic


class Cache:
    """A mapping of texts to plain values in a JSON file; without a file it lasts as long as the process.

    A file that is absent, torn or something else reads as empty, and so does one that was ``made_by`` other code.
    """

    def __init__(self, file: Path | None, made_by: str = "") -> None:
        self._file = file
        self._made_by = made_by
        self._entries = _entries(file, made_by)
        self._grew = False

    def get(self, key: str) -> Any:
        """The value; None if there is none."""
        return self._entries.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._entries[key] = value
        self._grew = True

    def save(self) -> None:
        """Write the file, if there is one; failure to write only costs time later."""
        if self._file is None or not self._grew:
            return
        try:
            write_atomic(self._file, json.dumps({"made_by": self._made_by, "entries": self._entries}))
        except OSError:
            return
        self._grew = False


def _entries(file: Path | None, made_by: str) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = json.loads(file.read_text())
        return dict(content["entries"]) if content["made_by"] == made_by else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
