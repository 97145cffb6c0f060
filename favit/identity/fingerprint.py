"""A run's fingerprint: digests of its settings, its code and its data, and the versions that count.

Free of torch; everything expensive is remembered in ``<results>/.cache``, which
may be deleted at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from favit.components import declared
from favit.components.facts import feed_of
from favit.components.optimizers import module_of
from favit.disk.cache import Cache
from favit.disk.files import sha256_of
from favit.identity import outside
from favit.identity.closure import Closure, Reader
from favit.identity.definitions import Code, Sources, analyser
from favit.identity.digests import data_digests, short_digest, text_digest
from favit.identity.settings import neutral, settings_digest
from favit.identity.versions import cut, import_name, installed, unknown_package
from favit.sweeps.errors import ConfigError
from favit.sweeps.runs import Run

# What is written beside each result. Only those that the configuration counts decide whether it is valid.
VERSIONED = ("torch", "timm")
DEFAULT_POLICY: Mapping[str, str] = {"torch": "minor", "timm": "minor"}

# Where a run's numbers begin, and where the program that trains it begins. The second imports the first: what
# only the second reaches (signals, progress, records) cannot change a number and is no part of a fingerprint.
ENGINE = "favit.train.engine"
VALIDATED = "favit.train.validated"  # of images of which a part validates
PROGRAM = "favit.train.life.__main__"


@dataclass(frozen=True)
class Fingerprint:
    """The identity that a result must match to be valid today.

    ``settings`` is the digest of those that are not at their neutral value, ``stated`` that of all. ``data`` maps
    the data set's files to their SHA-256, None if they are not on this machine. ``versions`` are those installed
    here, of the packages that the code imports.
    """

    settings: str
    code: str
    data: Mapping[str, str] | None
    versions: Mapping[str, str]
    policy: Mapping[str, str]
    stated: str

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits: the name of the run's folder."""
        return short_digest(
            {
                "settings": self.settings,
                "code": self.code,
                "data": None if self.data is None else dict(self.data),
                "versions": {p: cut(v, self.policy.get(p, "none")) for p, v in self.versions.items()},
            }
        )[:12]

    def as_dict(self) -> dict[str, Any]:
        """For ``run.json`` and ``metrics.json``."""
        return {
            "digest": self.digest,
            "settings": self.stated,
            "code": self.code,
            "data": None if self.data is None else dict(self.data),
            "versions": dict(self.versions),
            "policy": dict(self.policy),
            "analyser": analyser(),
        }


class Fingerprinter:
    """Fingerprints many runs; each closure and each data set is digested once."""

    def __init__(
        self,
        data: Path,
        cache: Path | None = None,
        policy: Mapping[str, str] = DEFAULT_POLICY,
        reader: Reader | None = None,
    ) -> None:
        if problem := unknown_package(policy):
            raise ConfigError(f"versions: {problem}")
        self.reader = reader or Reader(cache=cache and cache / "modules.json")
        self._sources = Sources(self.reader.root, cache and cache / "definitions.json")
        self.differences: dict[tuple[str, str], list[str]] = {}  # what differs between two codes, told once
        self._data_root = data
        self._digests = FileDigests(cache and cache / "data.json")
        self._policy = policy
        self._closures: dict[tuple[Any, ...], Closure] = {}
        self._codes: dict[tuple[Any, ...], Code] = {}
        self._data: dict[tuple[Any, ...], Mapping[str, str] | None] = {}
        self._versions: dict[str, Mapping[str, str]] = {}

    def fingerprint(self, run: Run) -> Fingerprint:
        """The fingerprint that a result of this run would have today."""
        stated = text_digest(run.key)
        return Fingerprint(
            settings=settings_digest(run.settings) if neutral(run["dataset"]) else stated,
            code=self.code(run).digest,
            data=self._data_of(run),
            versions=self._versions_of(self._closure(run, engine_of(run))),
            policy={**self._policy, **declared.exact_versions(run.settings)},
            stated=stated,
        )

    def code(self, run: Run) -> Code:
        """The code that this run's numbers depend on: definitions in the files that its program is kept with."""
        key = (engine_of(run), *_components(run))
        if key not in self._codes:
            kept = frozenset(self.program(run).modules)
            self._codes[key] = self._sources.code([engine_of(run), *named(run)], kept)
        return self._codes[key]

    def program(self, run: Run) -> Closure:
        """All the code that trains this run: what its numbers depend on, and the run's life around them."""
        return self._closure(run, PROGRAM)

    def save(self) -> None:
        """Keep what was learnt for the next time."""
        self.reader.save()
        self._sources.save()
        self._digests.save()

    def _closure(self, run: Run, begin: str) -> Closure:
        key = (begin, engine_of(run), *_components(run))
        if key not in self._closures:
            self._closures[key] = self.reader.closure([begin, *named(run)])
            outside.check(self._closures[key], self.reader)
        return self._closures[key]

    def _data_of(self, run: Run) -> Mapping[str, str] | None:
        key = (run["dataset"], *(item for item in run.settings.items() if item[0].startswith("dataset.")))
        if key not in self._data:
            self._data[key] = data_digests(run.settings, self._data_root, self._digests.digest)
        return self._data[key]

    def _versions_of(self, closure: Closure) -> Mapping[str, str]:
        if closure.digest not in self._versions:
            counted = dict.fromkeys([*VERSIONED, *self._policy])
            used = [package for package in counted if import_name(package) in closure.outside]
            self._versions[closure.digest] = {package: installed(package) for package in used}
        return self._versions[closure.digest]


def _components(run: Run) -> tuple[tuple[str, str], ...]:
    components = (declared.component(axis, run.settings) for axis in declared.naming(run.settings))
    return (*components, *_optimizer(run))


def _optimizer(run: Run) -> list[tuple[str, str]]:
    module = module_of(run.settings.get("optimizer", "adamw"))
    return [("train.optimizers", module)] if module else []


def engine_of(run: Run) -> str:
    """The module with which training of the run begins."""
    return VALIDATED if run.settings.get("validation_split") else ENGINE


def named(run: Run) -> list[str]:
    """The modules that a run reaches by name: its task, what feeds it, and its components."""
    components = _components(run)
    feeds = [f"favit.train.feeds.{feed_of(run['dataset'])}"] if run.task == "classification" else []
    task = "validated" if engine_of(run) == VALIDATED else run.task
    return [f"favit.train.tasks.{task}", *feeds, *(f"favit.{room}.{name}" for room, name in components)]


class FileDigests:
    """SHA-256 of files, computed anew where size, inode, or time of modification or of change differ.

    A time of modification alone is what `cp -p` and restored backups bring along.
    """

    def __init__(self, cache: Path | None) -> None:
        self._cache = Cache(cache)

    def digest(self, path: Path) -> str:
        """The digest of one file."""
        stat = path.stat()
        key = str(path.resolve())
        seen = [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
        known = self._cache.get(key)
        if known is None or known[:-1] != seen:
            known = [*seen, sha256_of(path)]
            self._cache[key] = known
        return str(known[-1])

    def save(self) -> None:
        """Keep the digests for the next time."""
        self._cache.save()


def describe(settings: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """The fingerprint of one run's flat settings, with the digests of all definitions in its code."""
    run = Run(dict(sorted(settings.items())))
    fingerprinter = Fingerprinter(data)
    return {**fingerprinter.fingerprint(run).as_dict(), "modules": fingerprinter.code(run).definitions()}
