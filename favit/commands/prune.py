"""List results that no sweep needs; ``--yes`` moves them to the trash: ``favit prune [--stale] [--yes]``.

A sweep needs the results of its runs whatever code they were made with: going back to that code makes them valid
again. If several configurations share a results folder, only what this one once asked for and no other one needs is
listed; ``--unknown`` adds results that no known configuration asked for. ``--stale`` adds results of current runs that
were made with other code or data than today's. Unfinished runs and snapshots that no run uses are listed after 30 days
without a change. The trash is ``.trash`` in the results folder, by day; ``--empty-trash`` deletes it. Free of torch.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from favit.commands.main import add_config, command_line
from favit.components import own
from favit.disk.git import commit_of
from favit.disk.lease import holder_of
from favit.disk.run_folder import RunFolder
from favit.identity import snapshot
from favit.identity.closure import ROOT
from favit.identity.fingerprint import Fingerprint
from favit.identity.settings import settings_digest
from favit.identity.versions import differing
from favit.results.guard import MOST_UNASKED
from favit.results.ledger import Ledger
from favit.results.state import Result, Results
from favit.sweeps.config import Config, ConfigError, load
from favit.sweeps.runs import runs

# A job may wait in its queue for so long; one that runs renews its lease in the folder all the time.
LEFT_ALONE_DAYS = 30

TRASH = ".trash"


@dataclass(frozen=True)
class Asked:
    """Everything that the sweeps ask for today: digests of settings, snapshots of code, and folders of results.

    ``today`` has the fingerprint of each digest of settings, ``ever`` are the settings that this configuration has
    asked for at any time, ``others`` those that other configurations of the folder ask for, with the file of one.
    """

    today: Mapping[str, Fingerprint]
    snapshots: frozenset[str]
    folders: frozenset[Path]
    ever: frozenset[str]
    others: Mapping[str, str]
    unknown: bool = False  # whether what nobody is known to have asked for is this configuration's, too

    def is_given_up(self, settings: object, stale: bool = False) -> bool:
        """True if results of these settings are this configuration's to discard."""
        if settings in self.others:
            return False
        if settings in self.today:
            return stale
        return settings in self.ever or self.unknown


def asked_for(config: Config, results: Results, file: Path | str, unknown: bool = False) -> Asked:
    """Everything that the sweeps of the configuration in ``file`` ask for."""
    distinct = {run.key: run for name in config.sweeps for run in runs(config, name)}
    states = results.states(distinct.values())
    today = {state.fingerprint.settings: state.fingerprint for state in states}
    ledger = Ledger(results.root, file)
    ledger.register(today)
    return Asked(
        today,
        frozenset(results.fingerprinter.program(state.run).digest for state in states),
        frozenset(state.folder for state in states),
        ledger.ever(),
        ledger.others(),
        unknown,
    )


def superfluous(asked: Asked, results: Results, stale: bool = False) -> Iterator[Result]:
    """Finished results that are not asked for any more, in the order of their folders."""
    for result in _results(results):
        if result.folder in asked.folders or holder_of(result.folder):
            continue
        if asked.is_given_up(result.fingerprint["settings"], stale):
            yield result


def left_alone(asked: Asked, results: Results) -> Iterator[str]:
    """A line for each kind of results that this configuration may not discard."""
    rest = [s for r in _results(results) if (s := r.fingerprint["settings"]) not in asked.today]
    for file, number in sorted(Counter(asked.others[s] for s in rest if s in asked.others).items()):
        there = (
            "" if Path(file).is_file() else ", a file that no longer exists; its entry is in .configurations"
        )
        yield f"kept {number} results: {file} asks for them{there}"
    unknown = sum(s not in asked.others and s not in asked.ever for s in rest)
    if unknown and not asked.unknown:
        yield f"kept {unknown} results that this configuration never asked for; --unknown lists them, too"


def unfinished(asked: Asked, results: Results, stale: bool = False) -> Iterator[Path]:
    """Folders without a result that are not asked for and have been left alone."""
    for folder in _folders(results):
        files = RunFolder(folder)
        if files.is_finished or folder in asked.folders or not _left_alone(folder):
            continue
        if asked.is_given_up(_settings(_content(files.request)), stale):
            yield folder


def unused_snapshots(asked: Asked, results: Results, removed: set[Path]) -> Iterator[Path]:
    """Code that neither today's runs nor any folder besides the ``removed`` was prepared with."""
    kept = [folder for folder in _folders(results) if folder not in removed]
    used = {name for folder in kept for name in _snapshots(RunFolder(folder))}
    for folder in sorted(snapshot.folder_of("", results.root).glob("*")):
        if folder.name not in asked.snapshots | used and _left_alone(folder):
            yield folder


def discard(folder: Path, root: Path) -> Path:
    """Move a folder below ``root`` to the trash, in one step; returns where it is. A link goes, what it names stays."""
    day = root / TRASH / datetime.now(UTC).date().isoformat()
    target, tries = day / folder.relative_to(root), 1
    while target.exists() or target.is_symlink():
        tries += 1
        target = day / folder.relative_to(root).with_name(f"{folder.name}-{tries}")
    target.parent.mkdir(parents=True, exist_ok=True)
    return folder.rename(target)


def _check_clean() -> None:
    """``ConfigError`` if the code differs from its commit: then almost every result is stale, for a day."""
    if (commit_of(ROOT, [ROOT / "favit"]) or "").endswith("+changes"):
        raise ConfigError("favit/ has uncommitted changes, which make all results stale; commit them first")
    for folder in own.folders():
        if (commit_of(folder, [folder]) or "").endswith("+changes"):
            raise ConfigError(
                f"{folder} has uncommitted changes, which make results stale; commit them first"
            )


def _check_versions(asked: Asked, found: Iterable[Result]) -> None:
    """``ConfigError`` where results are stale by what is installed here: in another environment they count."""
    other = [
        difference
        for result in found
        if (today := asked.today.get(result.fingerprint["settings"])) is not None
        for difference in list(differing(result.fingerprint["versions"] or {}, today.versions, today.policy))[
            :1
        ]
    ]
    if other:
        package, before, now = other[0]
        raise ConfigError(
            f"{len(other)} stale results are of other versions ({package} {before}; here: {now}) and may still be "
            "valid with those; prune where they are installed, or add --other-versions"
        )


def _check_meant(results: int, count: int | None) -> None:
    """Ask before moving more than a few results; ``ConfigError`` if the answer is no or nobody can answer."""
    if results <= MOST_UNASKED or results == count:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{results} results would go to the trash; to confirm, add --count {results}")
    if input(f"Move {results} results to the trash? [y/N] ").strip().lower() not in ("y", "yes"):
        raise ConfigError("cancelled; nothing was moved")


def _results(results: Results) -> Iterator[Result]:
    """All finished results."""
    for place in sorted({folder.parent for folder in _folders(results)}):
        yield from results.in_place(place)


def _folders(results: Results) -> list[Path]:
    """The folders of all runs, finished or not."""
    return sorted(path for path in (results.root / "runs").glob("*/*/*/*/*/*") if path.is_dir())


def _left_alone(folder: Path) -> bool:
    latest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time() - latest > LEFT_ALONE_DAYS * 24 * 3600


def _snapshots(folder: RunFolder) -> Iterator[str]:
    """The snapshots that a run was prepared and trained with."""
    for content in (_content(folder.request), _content(folder.metrics)):
        # Before snapshots had a digest of their own they were named by that of the code.
        yield from (str(content.get("snapshot")), str(_fingerprint(content).get("code")))
    for record in _acceptances(folder.acceptances):
        yield str(record.get("snapshot"))  # from which a later proof may go on


def _settings(content: dict[str, Any]) -> str | None:
    """The digest of a request's settings, as states compare it."""
    run = content.get("run")
    return settings_digest(run) if isinstance(run, dict) else None


def _fingerprint(content: dict[str, Any]) -> dict[str, Any]:
    found = content.get("fingerprint")
    return found if isinstance(found, dict) else {}


def _acceptances(path: Path) -> list[dict[str, Any]]:
    try:
        return [record for record in json.loads(path.read_text()) if isinstance(record, dict)]
    except (OSError, ValueError, TypeError):
        return []


def _content(path: Path) -> dict[str, Any]:
    """The content of a run's JSON file; empty if it cannot be read."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def main(arguments: Sequence[str]) -> int:
    """List results, move them to the trash, or empty it."""
    parser = command_line("prune", __doc__)
    parser.add_argument("--yes", action="store_true", help="move them to the trash")
    parser.add_argument(
        "--count", type=int, help="confirm the number of results to move, instead of being asked"
    )
    parser.add_argument(
        "--empty-trash", action="store_true", help="delete everything in the trash, and do nothing else"
    )
    parser.add_argument(
        "--stale",
        action="store_true",
        help="also results of current runs that were made with other code or data than today's",
    )
    parser.add_argument(
        "--other-versions",
        action="store_true",
        help="with --stale, also results made with other versions of packages",
    )
    parser.add_argument(
        "--unknown", action="store_true", help="also results that no known configuration asked for"
    )
    add_config(parser)
    options = parser.parse_args(arguments)
    config = load(options.config)
    if options.empty_trash:
        shutil.rmtree(config.results / TRASH, ignore_errors=True)
        print(f"{config.results / TRASH} is empty")
        return 0
    if options.stale:
        _check_clean()
    results = Results(config)
    asked = asked_for(config, results, options.config, options.unknown)
    doomed = list(superfluous(asked, results, options.stale))
    if options.stale and not options.other_versions:
        _check_versions(asked, doomed)
    finished = {result.folder: f"{result.seconds / 3600:.2f} device hours" for result in doomed}
    begun = dict.fromkeys(unfinished(asked, results, options.stale), "not finished")
    code = dict.fromkeys(unused_snapshots(asked, results, {*finished, *begun}), "code that no run uses")
    found = finished | begun | code
    for folder, what in found.items():
        print(f"{folder}  {what}")
    for line in left_alone(asked, results):
        print(line)
    if options.yes:
        _check_meant(len(finished), options.count)
        for folder in found:
            discard(folder, results.root)
    word = f"moved to {results.root / TRASH}" if options.yes else "not needed; --yes moves them to the trash"
    print(f"{len(finished)} results, {len(begun)} unfinished runs, {len(code)} snapshots of code {word}")
    return 0
