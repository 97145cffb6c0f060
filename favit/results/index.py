"""The results on disk: what each ``metrics.json`` says, read once and remembered. Free of torch."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from favit.disk.cache import Cache
from favit.disk.run_folder import ACCEPTANCES, METRICS, RunFolder
from favit.identity.definitions import analyser
from favit.identity.digests import short_digest
from favit.identity.settings import declarations, settings_digest
from favit.identity.snapshot import Codes

# A run that diverged is done, too: it would diverge again.
_DONE = ("finished", "diverged")
_OWN_SOURCE = Path(__file__).read_bytes()  # what was remembered by other code is read again


@dataclass(frozen=True)
class Result:
    """A finished result on disk, as far as states need it; ``content`` is read when asked for.

    ``fingerprint`` is as it would be written today: ``settings`` without those at their neutral value, ``code`` that
    of the snapshot which made it. What was written then is in ``content``. ``made_of`` gives the digests of the
    definitions that made it, by module and name, None where nobody knows. ``unread`` says why acceptances beside it
    do not count, empty where all do.
    """

    folder: Path
    fingerprint: Mapping[str, Any]
    status: str
    seconds: float
    stamp: str
    settings: Mapping[str, Any]
    finished: str
    made_of: Callable[[], Any]
    accepted: tuple[Mapping[str, Any], ...] = ()
    unread: str = ""

    @cached_property
    def content(self) -> dict[str, Any]:
        """The whole ``metrics.json``."""
        content: dict[str, Any] = json.loads(RunFolder(self.folder).metrics.read_text())
        return content


class Index:
    """Remembers what each ``metrics.json`` says, by its size and time of modification.

    ``codes`` says what the code in a snapshot is today.
    """

    def __init__(self, file: Path, codes: Codes) -> None:
        made_by = hashlib.sha256(_OWN_SOURCE).hexdigest() + declarations()
        self._cache = Cache(file, made_by=made_by)
        self._codes = codes

    def results_in(self, place: Path) -> list[Result]:
        """The readable results in the folders of one place, by name."""
        try:
            with os.scandir(place) as entries:
                names = sorted(e.name for e in entries if not e.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []
        root = os.path.abspath(place)  # noqa: PTH100 - text, as below
        return [result for name in names if (result := self._result(place, name, f"{root}{os.sep}{name}"))]

    def save(self) -> None:
        """Keep what was read for the next time."""
        self._cache.save()
        self._codes.save()

    def _result(self, place: Path, name: str, path: str) -> Result | None:
        """The result in a folder, whose absolute ``path`` is text: there may be tens of thousands of them."""
        try:
            stat = os.stat(f"{path}{os.sep}{METRICS}")  # noqa: PTH116 - a Path costs more than the call
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise  # a file server that does not answer is no reason to train
        seen, known = [stat.st_size, stat.st_mtime_ns], self._cache.get(path)
        folder = place / name
        if known is None or known["seen"] != seen:
            known = {"seen": seen, **self._summary(RunFolder(folder).metrics)}
            self._cache[path] = known
        if not known["readable"]:
            return None
        code = self._codes.digest(known["snapshot"]) if known["snapshot"] else None
        return Result(
            folder,
            {**known["fingerprint"], "code": code or known["fingerprint"]["code"]},
            known["status"],
            known["seconds"],
            known["stamp"],
            {**self._cache.get(known["shared"]), "seed": known["seed"]},
            known["finished"],
            functools.partial(self._made_of, known["snapshot"], folder),
            *_acceptances(f"{path}{os.sep}{ACCEPTANCES}", known["stamp"]),
        )

    def _made_of(self, snapshot: str, folder: Path) -> Any:
        found = self._codes.definitions(snapshot) if snapshot else None
        if found is None:
            then = json.loads(RunFolder(folder).metrics.read_text())["fingerprint"]
            found = then.get("modules") if then.get("analyser") == analyser() else None
        return found

    def _summary(self, path: Path) -> dict[str, Any]:
        """What states need of a ``metrics.json``; one that contradicts itself is as good as unreadable."""
        try:
            content = json.loads(path.read_text())
            found, run = _checked(content), content["run"]
            shared = {key: value for key, value in run.items() if key != "seed"}
            # Runs differ by their seed alone, thousands of them: the rest is remembered once.
            found["shared"], found["seed"] = f"settings {short_digest(shared)}", run["seed"]
            if self._cache.get(found["shared"]) is None:
                self._cache[found["shared"]] = shared
            return found
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {"readable": False}


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """The summary of a whole result; raises where it is none."""
    fingerprint, snapshot = content["fingerprint"], content.get("snapshot")
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
        raise ValueError
    return {
        "readable": True,
        "fingerprint": {**parts, "settings": settings_digest(content["run"])},
        "status": content["status"],
        "seconds": float(content.get("device_seconds") or content.get("wall_time_s") or 0.0),
        "stamp": short_digest(content["metrics"]),
        "finished": str(content.get("finished", "")),
        "snapshot": snapshot if isinstance(snapshot, str) and re.fullmatch("[0-9a-f]+", snapshot) else "",
    }


def _is_of_text(value: Any) -> bool:
    """None, or a mapping of text to text."""
    return value is None or (isinstance(value, dict) and all(isinstance(v, str) for v in value.values()))


def _acceptances(path: str, stamp: str) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """The records by which a result with these numbers was accepted, and why others beside it do not count."""
    if not os.path.exists(path):  # noqa: PTH110 - as above
        return (), ""
    try:
        records = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        return (), f"cannot read {path} ({error})"
    if not isinstance(records, list):
        return (), f"{path} is not a list of acceptances"
    whole = [r for r in records if _is_acceptance(r)]
    mine = tuple(r for r in whole if r.get("stamp", stamp) == stamp)  # older records do not say it
    if len(whole) < len(records):
        return mine, f"{path} holds {len(records) - len(whole)} that are no acceptances"
    return mine, "" if len(mine) == len(whole) else f"{path} accepts a result with other numbers"


def _is_acceptance(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and all(isinstance(record.get(key), str) for key in ("code", "who", "when", "why"))
        and isinstance(record.get("versions"), dict)
        and _is_of_text(record["versions"])
    )
