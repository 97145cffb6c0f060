"""Before anything is trained: keep settings and code, and ask before finished work is done again. Free of torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from favit.components.literals import literals
from favit.data import _index
from favit.data._missing import DataMissing
from favit.disk.files import write_atomic
from favit.identity import snapshot
from favit.identity.digests import data_files
from favit.results import reasons as explain
from favit.results.state import METRICS, Result, Results, State
from favit.sweeps.config import Config

MOST_UNASKED = 3


class NeedsConfirmation(RuntimeError):
    """More finished runs would be trained again than goes without asking; the message lists them."""


def before_training(config: Config, results: Results, states: Iterable[State]) -> str:
    """Keep each run's settings and a snapshot of its code; returns the summary to show.

    Raises ``NeedsConfirmation`` where a change of code or of defaults would
    retrain more than three finished runs and nobody has said ``retrain=yes``.
    """
    states = list(states)
    again = [(state, old) for state in states if (old := superseded(state)) is not None]
    if len(again) > MOST_UNASKED and not config.retrain:
        raise NeedsConfirmation(_question(again, results))
    for closure in {c.digest: c for c in (results.fingerprinter.closure(s.run) for s in states)}.values():
        snapshot.keep(closure, results.root, results.fingerprinter.reader)
    for state in states:
        write_request(state, results)
        forget_deleted(state.folder)
    return "\n".join([explain.summary(states, results.fingerprinter), *absent_data(config.data, states)])


def forget_deleted(folder: Path) -> None:
    """A result whose first name is gone before its job starts was removed by a person: it shall not be put back."""
    if not (folder / METRICS).exists():
        (folder / literals("train", "life", "outcome")["SECOND_NAME"]).unlink(missing_ok=True)


def absent_data(root: Path, states: Iterable[State]) -> list[str]:
    """A line for each data set that is not whole here: its jobs would wait for their devices only to fail.

    Said and not refused, as the nodes may have what this machine has not.
    """
    lines = []
    for settings in {s.run["dataset"]: s.run.settings for s in states}.values():
        files = data_files(settings, root)
        try:
            if "COUNTS" in literals("data", settings["dataset"]):
                _index.read(next(iter(files.values())).parent)
            elif missing := [path for path in files.values() if not path.is_file()]:
                raise DataMissing(missing[0])
        except (DataMissing, ValueError) as error:
            lines.append(f"{settings['dataset']} is not ready here, and without it no run starts: {error}")
    return lines


def write_request(state: State, results: Results) -> None:
    """Leave in the run's folder what its job will read: the settings, and the fingerprint that they had now."""
    definitions = results.fingerprinter.closure(state.run).definitions()
    fingerprint = {**state.fingerprint.as_dict(), "modules": definitions}
    commit = json.loads(
        (snapshot.folder_of(state.fingerprint.code, results.root) / snapshot.FACTS).read_text()
    )
    request = {"run": dict(state.run.settings), "fingerprint": fingerprint, "commit": commit["commit"]}
    write_atomic(state.folder / "run.json", json.dumps(request, indent=1, sort_keys=True) + "\n")


def superseded(state: State) -> Result | None:
    """The finished result that a change of code or defaults, rather than of the configuration, made invalid."""
    near = explain.nearest(state)
    if near is None:
        return None
    changed = explain.changed_settings(near, state.run)
    return None if any(key in state.run.chosen for key in changed) else near


def _question(again: list[tuple[State, Result]], results: Results) -> str:
    hours = sum(old.seconds for _, old in again) / 3600
    lines = [f"{len(again)} finished runs, {hours:.2f} device hours, would be trained again:"]
    for state, old in again:
        why = explain.reason(state, results.fingerprinter)
        lines.append(f"  {state.run['dataset']} {state.run.name} ({old.seconds / 3600:.2f} h): {why}")
    lines.append(
        "To train them again: --config retrain=yes. If the change is harmless: python -m favit.accept RUN..."
    )
    return "\n".join(lines)
