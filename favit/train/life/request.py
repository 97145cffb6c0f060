"""Read and check what to train: a run, alone or in the envelope that the workflow writes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.identity import digests, versions

Complete = Callable[
    [Mapping[str, Any], Path], dict[str, Any]
]  # a bare run and the data's folder to an envelope


@dataclass(frozen=True)
class Request:
    """A run that is ready to be trained."""

    run: Mapping[str, Any]
    fingerprint: Mapping[str, Any]  # with the data's digests, whoever has taken them
    envelope: Mapping[str, Any]  # as received, to be kept beside the result

    @property
    def name(self) -> str:
        """The run's name for people: ``favit_b0.probsparse.none.seed0``."""
        return (
            ".".join(str(self.run[part]) for part in ("model", "aggregator", "encoding"))
            + f".seed{self.run['seed']}"
        )

    @property
    def title(self) -> str:
        """With its data set, and what tells it from others of its sweep where the workflow has prepared it."""
        return str(self.envelope.get("name") or f"{self.run['dataset']}.{self.name}")

    @property
    def loggers(self) -> list[dict[str, Any]]:
        """Name and options of each; no result depends on them."""
        found = self.envelope.get("loggers")
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    @property
    def identity(self) -> str:
        """What a checkpoint must share to be gone on from: the digest, and data that it does not cover."""
        own = self.fingerprint["digest"]
        return (
            own
            if self.fingerprint == self.envelope["fingerprint"]
            else digests.short_digest(self.fingerprint)
        )


def read(source: str, data: Path, complete: Complete | None = None) -> Request:
    """Read a request from a file or, for ``-``, from standard input.

    A bare run is given to ``complete``, which adds defaults, checks and fingerprints it; an
    envelope comes from where that has been done, and is as it was then. Where
    the data were not there, their digests are taken here. ``ValueError`` says in
    one line what is wrong, such as data or versions that are no longer those that
    the run was prepared with: its result would count for others.
    """
    envelope = _parse(source)
    if "run" not in envelope:
        if complete is None:
            raise ValueError(
                f"{source} has settings only, no fingerprint; train it with python -m favit.train"
            )
        envelope = complete(envelope, data)
    run, fingerprint = envelope["run"], envelope.get("fingerprint")
    if not isinstance(fingerprint, dict) or not isinstance(fingerprint.get("digest"), str):
        raise ValueError(f"{source}: fingerprint is missing beside run")
    if fingerprint.get("settings") != digests.short_digest(run):
        raise ValueError(
            f"{source}: the fingerprint does not match the settings; give the settings of the run alone"
        )
    _check_versions(fingerprint)
    return Request(
        run, {**fingerprint, "data": _data_as_prepared(run, fingerprint.get("data"), data)}, envelope
    )


def check_snapshot(source: str, wanted: Request) -> None:
    """``ValueError`` if this process executes a snapshot and the run was prepared for another one."""
    here = os.environ.get("FAVIT_SNAPSHOT")
    if here and wanted.envelope.get("snapshot") != Path(here).name:
        raise ValueError(
            f"{source}: the run was prepared for snapshot {wanted.envelope.get('snapshot')}, but this is "
            f"{Path(here).name}; use one list for each snapshot"
        )


def _check_versions(fingerprint: Mapping[str, Any]) -> None:
    """``ValueError`` if a package that counts is not the one that the run was prepared for."""
    then, policy = fingerprint.get("versions") or {}, fingerprint.get("policy") or {}
    now = {package: versions.installed(package) for package in then}
    for package, before, version in versions.differing(then, now, policy):
        raise ValueError(
            f"{package} {version} is installed here, but the run was prepared for {before}; start snakemake again "
            "to prepare it for this version"
        )


def _data_as_prepared(
    run: Mapping[str, Any], then: Mapping[str, str] | None, root: Path
) -> Mapping[str, str] | None:
    """The digests of the run's data, taken here. ``ValueError`` if they are not those that it was prepared with."""
    now = digests.data_digests(run, root)
    if then is None or now is None:
        return now if then is None else then  # what is absent is told by whoever reads it
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            raise ValueError(
                f"{name} in {root} has changed since the run was prepared; start snakemake again to prepare "
                "the run for the new data"
            )
    return now


def _parse(source: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        content = json.loads(text)
    except OSError as error:
        raise ValueError(f"{source} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{source} must hold one JSON object, the run's settings by name")
    return content
