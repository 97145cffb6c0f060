"""Trains one run: ``python -m favit.train --run FILE|- --out DIR``; a bare run is completed and fingerprinted here."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from favit.components import own
from favit.components.command_line import Parser
from favit.identity.fingerprint import describe
from favit.sweeps.loggers import loggers_of
from favit.sweeps.runs import resolve
from favit.train.life import launch, process


def complete(settings: Mapping[str, Any], data: Path, loggers: Sequence[str] = ()) -> dict[str, Any]:
    """The envelope of a run whose settings a person wrote: defaults added, checked, fingerprinted."""
    run = dict(resolve(settings).settings)
    envelope = {"run": run, "fingerprint": describe(run, data)}
    written = [json.loads(one) if one.startswith("{") else one for one in loggers]
    return envelope | {"loggers": [logger.as_json() for logger in loggers_of(written, "--logger")]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; returns the exit status, see ``favit.train.life.process``.

    ``--components FOLDER``, once for each, names the folders of one's own components that a bare run's names need,
    and ``--logger NAME`` or ``--logger '{"NAME": {...}}'`` its loggers.
    """
    parser = Parser(prog="favit train", add_help=False, allow_abbrev=False)
    parser.add_argument("--components", action="append", default=[])
    parser.add_argument("--logger", action="append", default=[])
    options, others = parser.parse_known_args(arguments)
    try:
        own.use(options.components)
    except ValueError as error:
        print(error, file=sys.stderr)
        return process.BAD_INPUT
    return process.main(others, functools.partial(complete, loggers=options.logger))


if __name__ == "__main__":
    process.leave(main(launch.launch(sys.argv[1:])))
