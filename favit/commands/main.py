"""The command ``favit VERB``: one module of this room for each verb, imported when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from favit.components.nearest import unknown
from favit.models import _torchvision
from favit.sweeps.config import ConfigError

VERBS = {
    "explain": "say which runs are valid and which must be trained, and why",
    "plan": "say what a sweep costs before it is spent",
    "sweep": "print the runs that a sweep asks for",
    "diff": "put two sweeps beside each other",
    "watch": "show what is being trained, and when it will be done",
    "tabulate": "make the tables of sweeps",
    "report": "make one page of all tables and figures",
    "accept": "declare results valid under changed code",
    "prune": "list or remove what no sweep asks for",
    "fetch": "download data sets",
    "prepare": "pack data sets of very many files",
    "train": "train one run",
    "init": "lay out a project in an empty folder",
    "check": "hold components of your own to what built-in ones must satisfy",
    "export": "hand a sweep on: tables, runs, code, environment",
    "reproduce": "train one run of an export again and compare",
}

OK = 0
"""Done."""
FAILED = 1
"""Something has to be changed first, or does not hold; told in one line on standard error."""
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
    """Run one verb; whatever a person has to change is told in one line on standard error."""
    _torchvision.prepare_when_imported()
    module = importlib.import_module(f"favit.commands.{verb}")
    try:
        return int(module.main(arguments))
    except (ConfigError, PermissionError) as error:
        print(error, file=sys.stderr)
        return FAILED


def program(verb: str) -> int:
    """Run one verb as this process's only work, such as ``python -m favit.explain`` does."""
    _let_readers_leave([verb])
    return run(verb, sys.argv[1:])


def command_line(verb: str, description: str | None) -> argparse.ArgumentParser:
    """The frame of a verb's command line; the first line of ``description`` heads its help."""
    return _Parser(prog=f"favit {verb}", description=(description or "").partition("\n")[0])


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command line in one line: usage is what ``--help`` shows."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISUSED, f"{self.prog}: {message}; {self.prog} --help says what it takes\n")


def add_config(parser: argparse.ArgumentParser) -> None:
    """The option that names the configuration."""
    parser.add_argument("--config", default="config.yaml", help="the configuration; default: %(default)s")


def _let_readers_leave(verb: Sequence[str]) -> None:
    """End without a word where a reader has enough, as in `| head`; a run trains on though nobody reads it."""
    if "train" not in verb:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {does}" for verb, does in VERBS.items())
    return f"usage: favit VERB ...\n\n{verbs}\n\nfavit VERB --help says more."
