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
from typing import Any

from favit.commands.main import add_config, command_line
from favit.disk.files import write_atomic
from favit.disk.run_folder import RunFolder
from favit.results.reasons import reason
from favit.results.selection import select
from favit.results.state import Result, Results, State
from favit.sweeps.config import load


def candidate(state: State) -> Result | None:
    """The latest result with today's settings and data, whatever its code; None where there is none."""
    now = state.fingerprint
    same = [
        r
        for r in state.others
        if r.fingerprint["settings"] == now.settings and now.data in (None, r.fingerprint.get("data"))
    ]
    return max(same, key=lambda r: str(r.content.get("finished", "")), default=None)


def accept(state: State, result: Result, who: str, why: str) -> None:
    """Record beside a result that it counts under the code and versions of today's fingerprint."""
    record: Mapping[str, Any] = {
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
    wanted = {run.key: run for name in options.runs for run in select(config, name)}
    states = results.states(wanted.values())
    outcomes = [_accepted(state, results, options.who, options.why) for state in states]
    return int(not all(outcomes))


def _accepted(state: State, results: Results, who: str, why: str) -> bool:
    """Whether a run's result counts, now that it has been accepted where it did not."""
    if state.counts:
        print(f"{state.run.name}: {state.name} already")
        return True
    result = candidate(state)
    if result is None:
        why_not = reason(state, results.fingerprinter)
        print(f"{state.run.name}: nothing to accept: {why_not}", file=sys.stderr)
        return False
    accept(state, result, who, why)
    print(f"{state.run.name}: {result.folder} accepted")
    return True
