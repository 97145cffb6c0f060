"""The command ``favit VERB``: one module of this room for each verb, imported when needed."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

from favit.components.command_line import Parser
from favit.components.nearest import unknown
from favit.models import _torchvision
from favit.sweeps.config import ConfigError

VERBS = {
    "explain": "show which runs are valid, which must be trained, and why",
    "plan": "estimate the time and storage of a sweep before training it",
    "sweep": "print the runs of a sweep with all their settings",
    "diff": "compare the settings and scores of two sweeps",
    "watch": "show the progress of training and when it will finish",
    "tabulate": "write or print the tables of sweeps",
    "report": "write one page with all tables and figures",
    "accept": "keep results valid after a harmless change of code",
    "prune": "list results that no sweep needs, or move them to the trash",
    "fetch": "download data sets",
    "prepare": "pack data sets of many small files for fast reading",
    "train": "train one run",
    "init": "create a project in an empty folder",
    "check": "test your own components as the built-in ones are tested",
    "export": "bundle a sweep to share: tables, runs, code, environment",
    "reproduce": "train one run of an export again and compare the numbers",
}

OK = 0
"""Done."""
FAILED = 1
"""An error that you can fix, or a check that failed; one line on standard error says what."""
MISUSED = 2
"""The command line is wrong: an unknown verb or option."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb that the first argument names; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _let_readers_leave(words[:1])
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return OK if words else MISUSED
    if words[0] not in VERBS:
        print(f"favit: {unknown(f'command {words[0]!r}', words[0], list(VERBS))}", file=sys.stderr)
        return MISUSED
    return run(words[0], words[1:])


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run one verb; an error that its user can mend is one line on standard error."""
    _torchvision.prepare_when_imported()
    module = importlib.import_module(f"favit.commands.{verb}")
    try:
        return int(module.main(arguments))
    except ConfigError as error:
        print(error, file=sys.stderr)
    except (
        OSError
    ) as error:  # a full disk, a file server that does not answer, a folder that may not be written
        if verb == "train":  # it tells of these itself; what is left is a fault of the program
            raise
        print(f"favit {verb}: {failed(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return FAILED


def failed(error: OSError) -> str:
    """Say which file failed, and why: ``cannot use results/tables: Permission denied``."""
    return (
        f"cannot use {error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    )


def program(verb: str) -> int:
    """Run one verb and nothing else, as ``python -m favit.explain`` does."""
    _let_readers_leave([verb])
    return run(verb, sys.argv[1:])


def command_line(verb: str, description: str | None) -> argparse.ArgumentParser:
    """The argument parser of a verb; its help begins with the first line of ``description``."""
    said = (description or "").partition("\n")[0].partition(": ``favit ")[0]  # usage shows the rest
    return Parser(prog=f"favit {verb}", description=said.replace("``", "").rstrip(".") + ".")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--config``."""
    parser.add_argument("--config", default="config.yaml", help="configuration file (default: %(default)s)")


def _let_readers_leave(verb: Sequence[str]) -> None:
    """Exit silently when the reader of the output has gone, as in `| head`; training goes on regardless."""
    if "train" not in verb:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {does}" for verb, does in VERBS.items())
    return f"usage: favit VERB ...\n\n{verbs}\n\nRun 'favit VERB --help' for its options."
