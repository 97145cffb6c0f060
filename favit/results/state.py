"""What must run: each run's state, judged by the results on disk alone.

A run's results lie side by side under ``runs/<dataset>/<model>/<aggregator>/
<encoding>/seed<seed>/``, one folder for each fingerprint, and every one of them
is looked at: the folder's name helps people, what counts is what its
``metrics.json`` says. Free of torch.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from favit.disk.cache import Cache
from favit.identity.digests import short_digest
from favit.identity.fingerprint import Fingerprint, Fingerprinter, cut
from favit.sweeps.config import Config
from favit.sweeps.runs import Run

METRICS = "metrics.json"
ACCEPTED = "accepted.json"

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
        return json.loads((self.folder / METRICS).read_text())


@dataclass(frozen=True)
class State:
    """A run as it stands today.

    ``name`` is ``valid``, ``accepted`` (declared valid by a person) or
    ``missing``. ``folder`` is where its result lies or will lie; ``others`` are
    the results of this run's place that do not count today; ``notes`` are for
    the tables' footnotes.
    """

    run: Run
    fingerprint: Fingerprint
    name: str
    folder: Path
    result: Result | None = None
    others: tuple[Result, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether its result may enter a table."""
        return self.result is not None


class Results:
    """The results folder of a project."""

    def __init__(self, config: Config, fingerprinter: Fingerprinter | None = None) -> None:
        self.root = config.results
        self._cache = self.root / ".cache"
        self._policy = config.versions
        self.fingerprinter = fingerprinter or Fingerprinter(config.data, self._cache, config.versions)
        self._index = _Index(self._cache / "results.json")

    def states(self, runs: Iterable[Run]) -> list[State]:
        """The state of each run."""
        found = [self.state(run) for run in runs]
        self._index.save()
        self.fingerprinter.save()
        return found

    def state(self, run: Run) -> State:
        """The state of one run."""
        today = self.fingerprinter.of(run)
        results = self._index.results_in(self.place(run))
        ranked = sorted(
            (rank, r.folder.name != today.digest, r.folder.name, r)
            for r in results
            if (rank := self._rank(r, today)) is not None
        )
        if not ranked:
            return State(run, today, "missing", self._free_folder(run, today), others=tuple(results))
        best = ranked[0][-1]
        name = ("valid", "accepted")[ranked[0][0]]
        duplicates = [r for *_, r in ranked[1:] if r.stamp != best.stamp]
        others = tuple(r for r in results if r is not best)
        return State(
            run, today, name, best.folder, best, others, tuple(self._notes(best, today, name, duplicates))
        )

    def in_place(self, place: Path) -> list[Result]:
        """The readable results of one place."""
        return self._index.results_in(place)

    def place(self, run: Run) -> Path:
        """The folder that holds all results of a run's axes, whatever their fingerprints."""
        s = run.settings
        axes = (s["dataset"], s["model"], s["aggregator"], s["encoding"], f"seed{s['seed']}")
        return self.root.joinpath("runs", *axes)

    def _free_folder(self, run: Run, today: Fingerprint) -> Path:
        """Where the run will be trained: never onto a file that stands for something else."""
        place = self.place(run)
        folder, tries = place / today.digest, 1
        while (folder / METRICS).exists():
            tries += 1
            folder = place / f"{today.digest}-{tries}"
        return folder

    def _rank(self, result: Result, today: Fingerprint) -> int | None:
        """0: valid, 1: accepted by a person, None: not today's."""
        then = result.fingerprint
        if then.get("settings") != today.settings or not _same_data(then.get("data"), today.data):
            return None
        if then.get("code") == today.code and self._same_versions(then.get("versions") or {}, today.versions):
            return 0
        return None if self._acceptance(result, today) is None else 1

    def _acceptance(self, result: Result, today: Fingerprint) -> Mapping[str, Any] | None:
        """The record by which a person declared a result valid under today's code and versions."""
        for record in result.accepted:
            if record.get("code") == today.code and self._same_versions(record["versions"], today.versions):
                return record
        return None

    def _same_versions(self, then: Mapping[str, str], now: Mapping[str, str]) -> bool:
        return all(
            cut(then.get(package, ""), precision) == cut(version, precision)
            for package, version in now.items()
            if (precision := self._policy.get(package, "none")) != "none"
        )

    def _notes(self, best: Result, today: Fingerprint, name: str, duplicates: list[Result]) -> Iterable[str]:
        if name == "accepted":
            record = self._acceptance(best, today)
            assert record is not None
            yield f"accepted by {record['who']} on {record['when'][:10]}: {record['why']}"
        if today.data is None:
            yield "data not on this machine; their digest is taken from the result"
        then = best.fingerprint.get("versions") or {}
        for package, version in today.versions.items():
            if then.get(package, version).partition("+")[0] != version.partition("+")[0]:
                yield f"made with {package} {then[package]}"
        if duplicates:
            folders = ", ".join(r.folder.name for r in duplicates)
            yield f"another valid result with other numbers exists: {folders}"


def _same_data(then: Mapping[str, str] | None, now: Mapping[str, str] | None) -> bool:
    # Without the data on this machine there is nothing to compare with: what the result says is trusted.
    return now is None or then == dict(now)


class _Index:
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
        try:
            stat = (folder / METRICS).stat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise  # a file server that does not answer is no reason to train
        key, seen = str(folder.absolute()), [stat.st_size, stat.st_mtime_ns]
        known = self._cache.get(key)
        if known is None or known["seen"] != seen:
            known = {"seen": seen, **_summary(folder / METRICS)}
            self._cache[key] = known
        if not known["readable"]:
            return None
        accepted = _acceptances(folder / ACCEPTED)
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
