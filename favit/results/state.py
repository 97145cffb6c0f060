"""The state of each run, judged by the results on disk alone.

A run's results lie side by side under ``runs/<dataset>/<model>/<aggregator>/
<encoding>/seed<seed>/``, one folder for each fingerprint, and every one of them
is looked at: the folder's name helps people, what counts is what its
``metrics.json`` says, and what today's analyser makes of the snapshot that it
names. A result that counts stays where it is. Free of torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.disk.run_folder import RunFolder
from favit.identity.fingerprint import Fingerprint, Fingerprinter
from favit.identity.snapshot import Codes
from favit.identity.versions import differing
from favit.results.index import Index, Result
from favit.sweeps.config import Config
from favit.sweeps.runs import Run

__all__ = ["Result", "Results", "State"]


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
        """True if the run has a result that may enter a table."""
        return self.result is not None


class Results:
    """The results folder of a project."""

    def __init__(self, config: Config, fingerprinter: Fingerprinter | None = None) -> None:
        self.root = config.results
        self._cache = self.root / ".cache"
        self.fingerprinter = fingerprinter or Fingerprinter(config.data, self._cache, config.versions)
        self.codes = Codes(self.root, self._cache / "snapshots.json")
        self._index = Index(self._cache / "results.json", self.codes)

    def states(self, runs: Iterable[Run]) -> list[State]:
        """The states of these runs."""
        found = [self.state(run) for run in runs]
        self._index.save()
        self.fingerprinter.save()
        return found

    def state(self, run: Run) -> State:
        """The state of one run."""
        today = self.fingerprinter.fingerprint(run)
        results = self._index.results_in(self.place(run))
        valid = [r for r in results if self._is_valid(r, today)]
        counting = valid or [r for r in results if self._is_accepted(r, today)]
        if not counting:
            return State(run, today, "missing", self._free_folder(run, today), others=tuple(results))
        best = next((r for r in counting if r.folder.name == today.digest), counting[0])
        name = "valid" if valid else "accepted"
        duplicates = [r for r in results if r.stamp != best.stamp and self._counts(r, today)]
        notes = tuple(self._notes(best, today, name, duplicates))
        others = tuple(r for r in results if r is not best)
        return State(run, today, name, best.folder, best, others, notes)

    def in_place(self, place: Path) -> list[Result]:
        """The readable results of one place."""
        return self._index.results_in(place)

    def place(self, run: Run) -> Path:
        """The folder that holds all results of a run's axes, whatever their fingerprints."""
        s = run.settings
        axes = (s["dataset"], s["model"], s["aggregator"], s["encoding"], f"seed{s['seed']}")
        return self.root.joinpath("runs", *axes)

    def _free_folder(self, run: Run, today: Fingerprint) -> Path:
        """A folder to train the run in that holds no other result."""
        place = self.place(run)
        folder, tries = place / today.digest, 1
        while RunFolder(folder).is_finished:
            tries += 1
            folder = place / f"{today.digest}-{tries}"
        return folder

    def _counts(self, result: Result, today: Fingerprint) -> bool:
        return self._is_valid(result, today) or self._is_accepted(result, today)

    def _is_valid(self, result: Result, today: Fingerprint) -> bool:
        then = result.fingerprint
        return (
            same_input(result, today)
            and then.get("code") == today.code
            and _same_versions(then.get("versions") or {}, today)
        )

    def _is_accepted(self, result: Result, today: Fingerprint) -> bool:
        return same_input(result, today) and self._acceptance(result, today) is not None

    def _acceptance(self, result: Result, today: Fingerprint) -> Mapping[str, Any] | None:
        """The record by which a person declared a result valid under today's code and versions."""
        for record in result.accepted:
            if self._code_of(record) == today.code and _same_versions(record["versions"], today):
                return record
        return None

    def _code_of(self, record: Mapping[str, Any]) -> Any:
        """The code that a result was accepted under: that of the snapshot which the record names, if it is there."""
        snapshot = record.get("snapshot")
        return (self.codes.digest(snapshot) if isinstance(snapshot, str) else None) or record.get("code")

    def _notes(self, best: Result, today: Fingerprint, name: str, duplicates: list[Result]) -> Iterable[str]:
        if name == "accepted":
            record = self._acceptance(best, today)
            assert record is not None
            yield f"accepted by {record['who']} on {record['when'][:10]}: {record['why']}"
        if today.data is None:
            yield "data not on this machine; trusted as recorded in the result"
        then = best.fingerprint.get("versions") or {}
        for package, version in today.versions.items():
            if then.get(package, version).partition("+")[0] != version.partition("+")[0]:
                yield f"made with {package} {then[package]}"
        if duplicates:
            folders = ", ".join(r.folder.name for r in duplicates)
            yield f"another valid result with different numbers exists: {folders}"


def _same_versions(then: Mapping[str, str], today: Fingerprint) -> bool:
    return not any(differing(then, today.versions, today.policy))


def same_input(result: Result, today: Fingerprint) -> bool:
    """True if a result was made from today's settings and data."""
    then = result.fingerprint
    # Without the data on this machine there is nothing to compare with: what the result says is trusted.
    same_data = today.data is None or then.get("data") == dict(today.data)
    return then.get("settings") == today.settings and same_data
