"""List what no sweep asks for, and with ``--yes`` remove it: ``python -m favit.prune [--stale] [--yes]``.

A run is asked for when a sweep has its settings, whatever code it was made
with: going back to that code finds it. ``--stale`` lists those, too, that are
asked for but were made with other code, data or versions than today's. Runs
that did not finish, and snapshots of code that no run was prepared with, are
listed once they have been left alone for long. Free of torch.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.disk import lease_holder
from favit.identity import snapshot
from favit.results.state import METRICS, Result, Results
from favit.sweeps.config import Config, ConfigError, load
from favit.sweeps.runs import runs

# A job may wait in its queue for so long; one that runs renews its lease in the folder all the time.
LEFT_ALONE_DAYS = 30


@dataclass(frozen=True)
class Asked:
    """What the sweeps ask for today: digests of settings and of code, and where results lie or will lie."""

    settings: frozenset[str]
    codes: frozenset[str]
    folders: frozenset[Path]


def asked_for(config: Config, results: Results) -> Asked:
    """Of all sweeps."""
    distinct = {run.key: run for name in config.sweeps for run in runs(config, name)}
    states = results.states(distinct.values())
    return Asked(
        frozenset(state.fingerprint.settings for state in states),
        frozenset(state.fingerprint.code for state in states),
        frozenset(state.folder for state in states),
    )


def superfluous(asked: Asked, results: Results, stale: bool = False) -> Iterator[Result]:
    """Finished results that are not asked for, in the order of their folders."""
    for place in sorted({folder.parent for folder in _folders(results)}):
        for result in results.in_place(place):
            if result.folder in asked.folders or lease_holder.of(result.folder):
                continue
            if stale or result.fingerprint["settings"] not in asked.settings:
                yield result


def unfinished(asked: Asked, results: Results, stale: bool = False) -> Iterator[Path]:
    """Folders without a result that are not asked for and have been left alone."""
    for folder in _folders(results):
        if (folder / METRICS).exists() or folder in asked.folders or not _left_alone(folder):
            continue
        if stale or _fingerprint(folder / "run.json").get("settings") not in asked.settings:
            yield folder


def unused_snapshots(asked: Asked, results: Results, removed: set[Path]) -> Iterator[Path]:
    """Code that neither today's runs nor any folder besides the ``removed`` was prepared with."""
    kept = [folder for folder in _folders(results) if folder not in removed]
    used = {_fingerprint(folder / name).get("code") for folder in kept for name in (METRICS, "run.json")}
    for folder in sorted(snapshot.folder_of("", results.root).glob("*")):
        if folder.name not in asked.codes | used and _left_alone(folder):
            yield folder


def remove(folder: Path) -> None:
    """Remove a folder; under another name first, so that no half of it is ever taken for a result or for code."""
    doomed = folder.with_name(f".{folder.name}.removed")
    folder.rename(doomed)
    shutil.rmtree(doomed)


def _folders(results: Results) -> list[Path]:
    """Every run's, finished or not."""
    return sorted(path for path in (results.root / "runs").glob("*/*/*/*/*/*") if path.is_dir())


def _left_alone(folder: Path) -> bool:
    latest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time() - latest > LEFT_ALONE_DAYS * 24 * 3600


def _fingerprint(path: Path) -> dict[str, Any]:
    """What a file of a run says of its fingerprint; empty where it says nothing."""
    try:
        return dict(json.loads(path.read_text())["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def main(arguments: list[str] | None = None) -> int:
    """List, or remove."""
    parser = argparse.ArgumentParser(prog="python -m favit.prune", description=__doc__.partition("\n")[0])
    parser.add_argument("--yes", action="store_true", help="remove them")
    parser.add_argument(
        "--stale", action="store_true", help="also those of asked-for runs that are not today's"
    )
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        results = Results(config)
        asked = asked_for(config, results)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    finished = {
        result.folder: f"{result.seconds / 3600:.2f} device hours"
        for result in superfluous(asked, results, options.stale)
    }
    begun = dict.fromkeys(unfinished(asked, results, options.stale), "not finished")
    code = dict.fromkeys(unused_snapshots(asked, results, {*finished, *begun}), "code of no run")
    for folder, what in (finished | begun | code).items():
        print(f"{folder}  {what}")
        if options.yes:
            remove(folder)
    word = "removed" if options.yes else "not asked for; --yes removes them"
    print(f"{len(finished)} results, {len(begun)} unfinished runs, {len(code)} snapshots of code {word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
