"""Before training: store settings and code, and ask before finished runs are trained again. Free of torch."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from favit.components.literals import literals
from favit.data import _index
from favit.data._missing import DataMissing
from favit.disk.lease import holder_of
from favit.disk.run_folder import RunFolder
from favit.identity import outside, snapshot
from favit.identity.digests import data_files
from favit.results import reasons
from favit.results.state import Result, Results, State
from favit.sweeps.config import Config
from favit.sweeps.loggers import Logger, is_installed

MOST_UNASKED = 3


class NeedsConfirmation(RuntimeError):
    """More finished runs would be trained again than may be without asking; the message lists them."""


def before_training(
    config: Config,
    results: Results,
    states: Iterable[State],
    later: Iterable[Sequence[Sequence[State]]] = (),
) -> str:
    """Store each run's settings and a snapshot of its code; returns the summary to show.

    later: runs that may follow when results are in, as lists of alternatives of which one will. They are stored as
    well, and the question counts the most of them that may be trained again.

    Raises ``NeedsConfirmation`` where a change of code or of defaults would
    retrain more than three finished runs and nobody has said ``retrain=yes``.
    """
    states, alternatives = list(states), [list(each) for each in later]
    again = _again(states)
    for each in alternatives:
        again += sorted((_again(one) for one in each), key=len)[-1] if each else []
    if len(again) > MOST_UNASKED and not config.retrain:
        raise NeedsConfirmation(_question(again, results))
    following = [state for each in alternatives for one in each for state in one]
    every = list({state.folder: state for state in [*states, *following]}.values())
    _keep_snapshots(every, results)
    for state in every:
        write_request(state, results, config.loggers)
        RunFolder(state.folder).forget_metrics()
    return reasons.summary(states, results.fingerprinter)


def _again(states: Iterable[State]) -> list[tuple[State, Result]]:
    return [(state, old) for state in states if (old := superseded(state)) is not None]


def snapshot_of(state: State, results: Results) -> Path:
    """The snapshot that the run's job executes: today's code.

    While a process trains the run it stays the one that this process executes: the numbers are the same, and a
    job whose command does not change can be adopted.
    """
    if holder_of(state.folder):
        kept = _requested(RunFolder(state.folder), state)
        folder = snapshot.folder_of(kept, results.root)
        if kept and folder.is_dir():
            return folder
    return snapshot.folder_of(results.fingerprinter.program(state.run).digest, results.root)


def write_request(state: State, results: Results, loggers: Sequence[Logger] = ()) -> None:
    """Write what the run's job will read into its folder: settings, their fingerprint now, the code, loggers.

    Loggers stand here and not on the command line: a job whose command does not change can be adopted.
    """
    name = f"{state.run['dataset']}.{state.run.name}"
    logged = {"name": name, "loggers": [logger.as_json() for logger in loggers]} if loggers else {}
    definitions = results.fingerprinter.code(state.run).definitions()
    folder = snapshot_of(state, results)
    RunFolder(state.folder).write_request(
        {
            "run": dict(state.run.settings),
            "fingerprint": {**state.fingerprint.as_dict(), "modules": definitions},
            "snapshot": folder.name,
            "commit": snapshot.commit_in(folder),
            **logged,
        }
    )


def absent_data(root: Path, states: Iterable[State]) -> list[str]:
    """A line for each data set or file that is incomplete here, and how many of the runs that stops.

    Their jobs would wait for their devices only to fail. Said and not refused, as the nodes may have what this machine
    has not; the other runs train.
    """
    states = list(states)
    runs: dict[tuple[Any, ...], list[State]] = {}
    for state in states:
        own = ((k, v) for k, v in state.run.settings.items() if k == "dataset" or k.startswith("dataset."))
        runs.setdefault(tuple(own), []).append(state)
    stopped: dict[str, int] = {}
    for those in runs.values():
        if (problem := _absent(root, those[0].run.settings)) is not None:
            stopped[problem] = stopped.get(problem, 0) + len(those)
    return [
        f"{problem}: {count} of {len(states)} runs will fail unless the compute nodes have it"
        for problem, count in stopped.items()
    ]


@functools.cache
def _absent_file(root: Path, files: tuple[tuple[str, Path], ...]) -> str | None:
    return next((f"{name} is missing in {root}" for name, path in files if not path.exists()), None)


def missing_file(root: Path, settings: Mapping[str, Any]) -> str:
    """The addition to a dry run's reason if a file is missing: ``; nope.csv is missing in data``."""
    if "COUNTS" in literals("data", settings["dataset"]):
        return ""
    said = _absent_file(root, tuple(data_files(settings, root).items()))
    return f"; {said}" if said else ""


def _absent(root: Path, settings: Mapping[str, Any]) -> str | None:
    """What is missing of a run's data, in one line; None if they are complete."""
    files = data_files(settings, root)
    try:
        if "COUNTS" in literals("data", settings["dataset"]):
            _index.read(next(iter(files.values())).parent)
        elif said := _absent_file(root, tuple(files.items())):
            fetched = "SOURCES" in literals("data", settings["dataset"])
            return said + (" (get it with `snakemake data`)" if fetched else "")
    except (DataMissing, ValueError) as error:
        return str(error)
    return None


def absent_loggers(config: Config) -> list[str]:
    """A line for each logger whose package is not installed: runs train without it."""
    return [
        f"logger {logger.name}: {logger.package} is not installed here; runs train without it "
        "(pip install 'favit-probsparse[loggers]')"
        for logger in config.loggers
        if logger.package and not is_installed(logger.package)
    ]


def untracked(states: Iterable[State], results: Results) -> list[str]:
    """A line for each place where a mechanism of these runs reads something that no fingerprint covers."""
    codes = {state.fingerprint.code: results.fingerprinter.code(state.run) for state in states}
    found = [
        line
        for code in codes.values()
        for line in outside.untracked(code.loaded, results.fingerprinter.reader)
    ]
    return list(dict.fromkeys(found))


def superseded(state: State) -> Result | None:
    """The finished result that a change of code or defaults, rather than of the configuration, made invalid."""
    near = reasons.nearest(state)
    if near is None:
        return None
    changed = reasons.changed_settings(near, state.run)
    return None if any(key in state.run.chosen for key in changed) else near


def _keep_snapshots(states: Iterable[State], results: Results) -> None:
    fingerprinter = results.fingerprinter
    pairs = [(fingerprinter.program(state.run), fingerprinter.code(state.run)) for state in states]
    for program, code in {program.digest: (program, code) for program, code in pairs}.values():
        snapshot.keep(program, code, results.root, fingerprinter.reader)


def _requested(folder: RunFolder, state: State) -> str:
    """The snapshot that a run's request names, if it is a request for today's run; else empty."""
    try:
        request = json.loads(folder.request.read_text())
        same = request["fingerprint"]["digest"] == state.fingerprint.digest
        return str(request["snapshot"]) if same else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _question(again: list[tuple[State, Result]], results: Results) -> str:
    hours = sum(old.seconds for _, old in again) / 3600
    lines = [f"{len(again)} finished runs, {hours:.2f} device hours, would be trained again:"]
    for state, old in again:
        why = reasons.reason(state, results.fingerprinter)
        lines.append(f"  {state.run['dataset']} {state.run.name} ({old.seconds / 3600:.2f} h): {why}")
    proofs = {
        (old.fingerprint.get("code"), state.fingerprint.code, _without_seed(state.run.settings))
        for state, old in again
    }
    lines += [
        "To check whether their numbers would change: favit accept --prove "
        f"(short trainings with old and new code: {len(proofs)})",
        "To train them again: --config retrain=yes. If the change is harmless: favit accept RUN... --why REASON",
    ]
    return "\n".join(lines)


def _without_seed(settings: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in settings.items() if name != "seed"}, sort_keys=True)
