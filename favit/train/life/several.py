"""Several runs, one after the other, each in a child of one process that has imported what they share.

A child is forked, so that it begins where a process of its own would be once it has imported the same: no generator,
switch of torch, signal handler, thread or module that a run has touched is seen by the next. What a run leaves, its
memory on the device included, ends with it, and a run that crashes harms no other. The process itself trains
nothing, computes nothing and never touches a GPU, which a child could not use then.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from favit.disk.parent import end_with
from favit.disk.run_folder import RunFolder
from favit.train.life import warm
from favit.train.life.launch import BUSY, DISK_FULL, INTERRUPTED
from favit.train.life.signals import CAUGHT, StopRequest

Train = Callable[[argparse.Namespace, StopRequest], int]  # trains one run, returns its exit status

_FAILED = 1
_KEYS = ("run", "out")


@dataclass(frozen=True)
class Entry:
    """One line of a list: the run's request and the folder for what it leaves, as they are written there."""

    run: str
    out: str


def read(file: Path) -> list[Entry]:
    """The runs of a list, one JSON object a line. ``ValueError`` says in one line what is wrong with it."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text in UTF-8") from None
    entries = [(n, _entry(f"{file}, line {n}", line)) for n, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise ValueError(f"{file} lists no runs; write one per line as {_form()}")
    first: dict[Path, int] = {}
    for n, entry in entries:
        before = first.setdefault(Path(entry.out).resolve(), n)
        if before != n:
            raise ValueError(
                f"{file}, lines {before} and {n}: both have the folder {entry.out}; give each run its own"
            )
    return [entry for _, entry in entries]


def train_all(options: argparse.Namespace, train: Train) -> int:
    """Train the runs that ``options.runs`` lists; print a line of JSON for each that has ended.

    Returns 0 where all have their result, 4 where a signal stopped it, and else 5, 1 or 3 where one run ended so,
    the first of these. What runs say goes to standard error. Raises ``ValueError`` for a list that is not one.
    """
    entries = read(options.runs)
    stop = StopRequest().listen()
    warm.imports([entry.run for entry in entries])
    ended = set()
    for entry in entries:
        if stop.received:
            return INTERRUPTED
        one = argparse.Namespace(**{**vars(options), "run": entry.run, "out": Path(entry.out)})
        status = _in_a_child(lambda one=one: train(one, stop), one.out, stop)  # type: ignore[misc]
        _tell({"run": entry.run, "out": entry.out, "exit_code": status})
        ended.add(status)
    if INTERRUPTED in ended:
        return INTERRUPTED
    if DISK_FULL in ended:
        return DISK_FULL
    return _FAILED if ended - {0, BUSY} else max(ended)


def _tell(what: dict[str, Any]) -> None:
    """Write a line of JSON; the runs are trained though nobody reads any more."""
    try:
        print(json.dumps(what), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _entry(where: str, line: str) -> Entry:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where} is not JSON: {error}") from None
    if not isinstance(content, dict) or set(content) != set(_KEYS):
        raise ValueError(f"{where} must be {_form()}, not {_short(line)}")
    for key in _KEYS:
        if not isinstance(content[key], str) or not content[key]:
            raise ValueError(f"{where}: {key} must be a path, not {_short(json.dumps(content[key]))}")
    return Entry(content["run"], content["out"])


def _form() -> str:
    return '{"run": "its run.json", "out": "its folder"}'


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _in_a_child(train: Callable[[], int], out: Path, stop: StopRequest) -> int:
    """Train in a child and return its exit status, 128 + n where signal n ended it; requests to stop reach it."""
    sys.stdout.flush(), sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)  # until each side is ready to be asked
    child = os.fork()
    if child == 0:
        _be_the_child(train, out, os.getppid())
    stop.pass_to = child
    signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    stop.pass_to = None  # while its number is its own
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        print(f"{out}: killed by {signal.Signals(-status).name}", file=sys.stderr, flush=True)
    return status if status >= 0 else 128 - status


def _be_the_child(train: Callable[[], int], out: Path, parent: int) -> NoReturn:
    status = _FAILED
    try:
        end_with(parent)
        os.dup2(2, 1)  # what is said to people; standard output is for programs
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)
        status = train()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        told = traceback.format_exc()
        print(f"{out}: {told}", file=sys.stderr, end="")
        note(out, told)
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


def note(out: Path, text: str) -> None:
    """Add why a run failed to its own log, where that can be written."""
    try:
        with RunFolder(out).log.open("a", encoding="utf-8") as log:
            log.write(text if text.endswith("\n") else text + "\n")
    except OSError:
        return  # it has been said on standard error
