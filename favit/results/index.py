"""The results on disk: what each ``metrics.json`` says, read once and remembered. Free of torch."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from favit.disk.cache import Cache
from favit.disk.run_folder import RunFolder
from favit.identity.digests import short_digest

# A run that diverged is done, too: it would diverge again.
_DONE = ("finished", "diverged")
_OWN_SOURCE = Path(__file__).read_bytes()  # what was remembered by other code is read again


@dataclass(frozen=True)
class Result:
    """A finished result on disk, as far as states need it; ``content`` is read when asked for."""

    folder: Path
    fingerprint: Mapping[str, Any]
    status: str
    seconds: float
    stamp: str
    accepted: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def content(self) -> dict[str, Any]:
        """The whole ``metrics.json``."""
        content: dict[str, Any] = json.loads(RunFolder(self.folder).metrics.read_text())
        return content


class Index:
    """Remembers what each ``metrics.json`` says, by its size and time of modification."""

    def __init__(self, file: Path) -> None:
        self._cache = Cache(file, made_by=hashlib.sha256(_OWN_SOURCE).hexdigest())

    def results_in(self, place: Path) -> list[Result]:
        """The readable results in the folders of one place, by name."""
        try:
            with os.scandir(place) as entries:
                names = sorted(e.name for e in entries if not e.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [result for name in names if (result := self._result(place / name))]

    def save(self) -> None:
        """Keep what was read for the next time."""
        self._cache.save()

    def _result(self, folder: Path) -> Result | None:
        files = RunFolder(folder)
        try:
            stat = files.metrics.stat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise  # a file server that does not answer is no reason to train
        key, seen = str(folder.absolute()), [stat.st_size, stat.st_mtime_ns]
        known = self._cache.get(key)
        if known is None or known["seen"] != seen:
            known = {"seen": seen, **_summary(files.metrics)}
            self._cache[key] = known
        if not known["readable"]:
            return None
        accepted = _acceptances(files.acceptances)
        return Result(
            folder, known["fingerprint"], known["status"], known["seconds"], known["stamp"], accepted
        )


def _summary(path: Path) -> dict[str, Any]:
    """What states need of a ``metrics.json``; one that contradicts itself is as good as unreadable."""
    try:
        text = path.read_text()
        content = json.loads(text)
        fingerprint = content["fingerprint"]
        parts = {part: fingerprint.get(part) for part in ("digest", "settings", "code", "data", "versions")}
        if isinstance(parts["versions"], dict) and isinstance(content.get("versions"), dict):
            # A package that is counted only since then: the result says which it was made with.
            parts["versions"] = {**content["versions"], **parts["versions"]}
        whole = (
            short_digest(content["run"]) == parts["settings"]
            and content["status"] in _DONE
            and isinstance(content["metrics"], dict)
            and _is_of_text(parts["data"])
            and _is_of_text(parts["versions"])
        )
        if not whole:
            return {"readable": False}
        return {
            "readable": True,
            "fingerprint": parts,
            "status": content["status"],
            "seconds": float(content.get("device_seconds") or content.get("wall_time_s") or 0.0),
            "stamp": short_digest(content["metrics"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"readable": False}


def _is_of_text(value: Any) -> bool:
    """None, or a mapping of text to text."""
    return value is None or (isinstance(value, dict) and all(isinstance(v, str) for v in value.values()))


def _acceptances(path: Path) -> tuple[Mapping[str, Any], ...]:
    if not path.exists():
        return ()
    try:
        records = json.loads(path.read_text())
    except (OSError, ValueError):
        return ()
    return tuple(r for r in records if _is_acceptance(r)) if isinstance(records, list) else ()


def _is_acceptance(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and all(isinstance(record.get(key), str) for key in ("code", "who", "when", "why"))
        and isinstance(record.get("versions"), dict)
        and _is_of_text(record["versions"])
    )
