"""The process of one logger: reads what it is to log from standard input, a JSON object a line. Free of torch.

    {"name": ..., "options": {...}, "about": {...}, "marker": ..., "log": ...}    what to log with, first
    {"anew": true}                       the run begins at its beginning: what was noted of before is forgotten
    {"row": {...}}                       a row of the history
    {"end": {...}}                       the life's end

A line of standard output is for people: why it gave up. It ends when there is nothing more to read.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from favit.disk.files import write_atomic
from favit.disk.parent import end_with
from favit.train.loggers.about import About

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # meant for the run
_OWN_FUNCTION = "logger"


def main(parent: int) -> None:
    """Log until the end; a logger that fails is told of in one line, with its traceback in the log."""
    _leave_signals_to_the_run()
    end_with(parent)
    orders, people = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    first = json.loads(orders.readline())
    _set_apart(Path(first["log"]))
    try:
        _log(first, orders)
    except BaseException as error:  # SystemExit and the like are nothing better here
        said = " ".join(f"{type(error).__name__}: {error}".split())
        people.write(said[:500] + "\n")
        people.flush()
        with contextlib.suppress(OSError):  # the disk may be what failed
            traceback.print_exc()
        os._exit(1)  # whatever threads it may have left


def find(name: str) -> Callable[..., Callable[..., Any]]:
    """The function that a name stands for: a logger of ours, ``file.py:function`` or ``module:function``."""
    if name == "tensorboard":
        from favit.train.loggers import tensorboard

        return tensorboard.Writer
    if name == "wandb":
        from favit.train.loggers import wandb

        return wandb.Writer
    place, _, function = name.partition(":")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    found: Callable[..., Callable[..., Any]] = getattr(module, function or _OWN_FUNCTION)
    return found


def _log(first: dict[str, Any], orders: TextIO) -> None:
    log = find(first["name"])(About.of_json(first["about"]), **first["options"])
    if not callable(log):
        raise TypeError(
            f"{first['name']} returns {type(log).__name__}; it must return a function that takes a row"
        )
    replays, marker = getattr(log, "replays", False), Path(first["marker"])
    for line in orders:
        order = json.loads(line)
        if "row" in order:
            epoch = int(order["row"]["epoch"])
            if not replays:
                if epoch <= _noted(marker):
                    continue
                write_atomic(
                    marker, f"{epoch}\n"
                )  # before: a row may be lost to a kill, and is never given twice
            log(order["row"])
        elif "anew" in order:
            marker.unlink(missing_ok=True)
        elif "end" in order:
            close = getattr(log, "close", None)
            if close is not None:
                close(order["end"])
            return


def _noted(marker: Path) -> int:
    """The last epoch whose row was given."""
    try:
        return int(marker.read_text())
    except (OSError, ValueError):
        return 0


def _set_apart(log: Path) -> None:
    """What is printed goes to a file, nobody can be asked anything, and the run's GPU stays the run's."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    printed = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o666)
    os.dup2(nothing, 0), os.dup2(printed, 1), os.dup2(printed, 2)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.nice(10)


def _leave_signals_to_the_run() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
