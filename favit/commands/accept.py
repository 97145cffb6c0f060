"""Declare results valid under today's code: ``python -m favit.accept RUN... --why "renamed a variable"``.

For a person who judged a change of code or versions harmless. The record lies
beside the result, says who, when and why, and is marked in every table.
Results with other settings or other data cannot be accepted. Free of torch.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from favit.disk.files import write_atomic
from favit.results import reasons as explain
from favit.results.state import ACCEPTED, Result, Results, State
from favit.sweeps.config import ConfigError, load


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
    write_atomic(result.folder / ACCEPTED, json.dumps([*result.accepted, record], indent=1) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Accept the results of the named runs."""
    parser = argparse.ArgumentParser(prog="python -m favit.accept", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "runs", nargs="+", help="runs as `python -m favit.explain` names them, folders, or sweeps"
    )
    parser.add_argument("--why", required=True, help="why the change cannot have changed the results")
    parser.add_argument("--who", default=getpass.getuser(), help="default: %(default)s")
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        results = Results(config)
        wanted = {run.key: run for name in options.runs for run in explain.select(config, name)}
        states = results.states(wanted.values())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    refused = 0
    for state in states:
        if state.counts:
            print(f"{state.run.name}: {state.name} already")
            continue
        result = candidate(state)
        if result is None:
            refused += 1
            print(
                f"{state.run.name}: nothing to accept: {explain.reason(state, results.fingerprinter)}",
                file=sys.stderr,
            )
            continue
        accept(state, result, options.who, options.why)
        print(f"{state.run.name}: {result.folder} accepted")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
