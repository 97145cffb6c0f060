"""Declare results valid under today's code: ``favit accept RUN... --why "renamed a variable"``.

For a person who judged a change of code or versions harmless. The record lies
beside the result, says who, when and why, and is marked in every table.
Results with other settings or other data cannot be accepted. Free of torch.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from favit.commands.main import add_config, command_line
from favit.disk.files import write_atomic
from favit.disk.run_folder import RunFolder
from favit.results.reasons import differences, reason
from favit.results.selection import select
from favit.results.state import Result, Results, State, same_input
from favit.sweeps.config import load
from favit.sweeps.runs import Run


class Unacceptable(Exception):
    """Why no result of a run is accepted."""


def candidate(state: State, named: Path | None = None) -> Result:
    """The result to accept: the one in the folder ``named``, else the one with today's settings and data.

    Raises ``Unacceptable`` where there is none, where the named one has other settings or data, and where results of
    several codes qualify: only a person can know which was meant.
    """
    same = [r for r in state.others if same_input(r, state.fingerprint)]
    if named is not None:
        same = [r for r in same if r.folder.resolve() == named]
    if not same:
        raise Unacceptable("no finished result has its settings and data")
    made = {
        json.dumps([r.fingerprint.get(part) for part in ("code", "versions")], sort_keys=True) for r in same
    }
    if len(made) > 1:
        folders = " or ".join(str(r.folder) for r in same)
        raise Unacceptable(f"results of several codes qualify; name the folder of one: {folders}")
    return max(same, key=lambda r: str(r.content.get("finished", "")))


def accept(state: State, result: Result, who: str, why: str) -> None:
    """Record beside a result that it counts under the code and versions of today's fingerprint."""
    record: Mapping[str, Any] = {
        "from": result.fingerprint.get("code"),
        "code": state.fingerprint.code,
        "versions": dict(state.fingerprint.versions),
        "who": who,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "why": why,
    }
    text = json.dumps([*result.accepted, record], indent=1) + "\n"
    write_atomic(RunFolder(result.folder).acceptances, text)


def main(arguments: Sequence[str]) -> int:
    """Accept the results of the named runs."""
    parser = command_line("accept", __doc__)
    parser.add_argument("runs", nargs="+", help="runs as `favit explain` names them, folders, or sweeps")
    parser.add_argument("--why", required=True, help="why the change cannot have changed the results")
    parser.add_argument("--who", default=getpass.getuser(), help="default: %(default)s")
    add_config(parser)
    options = parser.parse_args(arguments)
    config = load(options.config)
    results = Results(config)
    wanted: dict[str, tuple[Run, Path | None]] = {}
    for name in options.runs:
        wanted.update({run.key: (run, _named_folder(name)) for run in select(config, name)})
    states = results.states(run for run, _ in wanted.values())
    outcomes = [
        _accepted(state, named, results, options.who, options.why)
        for state, (_, named) in zip(states, wanted.values(), strict=True)
    ]
    return int(not all(outcomes))


def _named_folder(name: str) -> Path | None:
    """The folder of the one result that a person named; None where it was a run, a sweep or a folder of several."""
    path = Path(name)
    folder = path.parent if path.is_file() else path
    return folder.resolve() if RunFolder(folder).is_finished else None


def _accepted(state: State, named: Path | None, results: Results, who: str, why: str) -> bool:
    """Whether a run's result counts, now that it has been accepted where it did not."""
    name = f"{state.run['dataset']} {state.run.name}"
    if state.result is not None and named in (None, state.result.folder.resolve()):
        print(f"{name}: {state.name} already")
        return True
    try:
        if state.result is not None:
            raise Unacceptable(f"{state.result.folder} is {state.name} already and counts in its place")
        result = candidate(state, named)
    except Unacceptable as error:
        print(f"{name}: nothing accepted: {error} ({reason(state, results.fingerprinter)})", file=sys.stderr)
        return False
    accept(state, result, who, why)
    print(f"{name}: {result.folder} accepted; {'; '.join(differences(result, state, results.fingerprinter))}")
    return True
