"""One process of one life of a run, or of several: from the request to an exit status.

Exit status: 0 finished, or diverged, which is a result too; 1 bad input or a disk
that fails, said in one line; 3 another process trains this run; 4 stopped by a
signal, with a checkpoint saved; 5 no space left for files. The last checkpoint
stays as it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist

from favit.disk.lease import Busy, Fenced
from favit.disk.run_folder import RunFolder
from favit.train import distributed, engine, validated
from favit.train.accumulate import CannotSplit
from favit.train.distributed import World
from favit.train.life import disk, machine, memory, outcome, request, several
from favit.train.life.arguments import parse
from favit.train.life.holding import hold
from favit.train.life.host import RunHost
from favit.train.life.launch import BUSY, DISK_FULL, INTERRUPTED
from favit.train.life.reporter import Reporter
from favit.train.life.request import Complete, Request
from favit.train.life.signals import StopRequest
from favit.train.life.trace import Trace
from favit.train.loggers.about import About
from favit.train.loggers.feed import Feeds
from favit.train.loop import Diverged, Interrupted

FINISHED = 0
"""Finished or diverged; both are results."""
BAD_INPUT = 1
"""Bad input or a failing disk, reported in one line; or an error of the program itself, with a traceback."""


class BadInput(Exception):
    """An error that the user can mend; the message is one line."""


def main(arguments: Sequence[str] | None = None, complete: Complete | None = None) -> int:
    """Train; returns the exit status. ``complete`` turns a bare run into an envelope, where that is wanted."""
    options = parse(arguments)
    if options.runs is None:
        return _live(options, complete, StopRequest())
    try:
        return several.train_all(options, lambda one, stop: _live(one, complete, stop))
    except ValueError as error:
        return _end(BAD_INPUT, error, options)


def _live(options: argparse.Namespace, complete: Complete | None, stop: StopRequest) -> int:
    """Train one run; whatever ends it but a fault of this program is told in one line."""
    try:
        with ExitStack() as stack:
            _train(options, complete, stop, stack)
            return FINISHED
    except BadInput as error:
        return _end(BAD_INPUT, error, options)
    except (Busy, Fenced) as error:
        return _end(BUSY, error, options)
    except Interrupted as stopped:
        return _end(
            INTERRUPTED,
            f"stopped by {stopped.reason or 'another process'} after step {stopped.position}",
            options,
        )
    except OSError as error:
        if not disk.failed(error, options.out):
            raise
        status = DISK_FULL if error.errno in disk.FULL else BAD_INPUT
        return _end(status, disk.words(error, options.out), options)


def leave(status: int) -> NoReturn:
    """End this process.

    One of several ends without tearing the group down: at that moment gloo's
    thread may wait for the interpreter's lock to drop a tensor while the
    interpreter, holding it, waits for that thread, for ever.
    """
    if dist.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _train(
    options: argparse.Namespace, complete: Complete | None, stop: StopRequest, stack: ExitStack
) -> None:
    """One life of a run, from reading it to its result; what ``stack`` holds is undone whichever way it ends."""
    with _of_the_user():
        wanted = request.read(options.run, options.data, complete)
        if options.runs is not None:
            request.check_snapshot(options.run, wanted)
        _make_folder(options.out)
    folder = RunFolder(options.out)
    if outcome.is_there(folder, wanted):
        return _say_there_is_nothing_to_do(folder)
    stop.listen()
    with _of_the_user():
        device = machine.choose(options.device)
    world = distributed.join(device.type)
    device = machine.own(device, world)
    machine.prepare(machine.at_most_its_own(options.threads, device), device)
    if wanted.run["compile"] or device.type == "cuda":
        machine.share_compiled_code()
    lease = hold(options.out, options.wait, world, stop, stack)
    # Whoever held the lease until now may have finished.
    if distributed.broadcast_object(outcome.is_there(folder, wanted), world):
        return _say_there_is_nothing_to_do(folder)
    reporter = Reporter(options.out, speaks=world.first, name=wanted.name)
    stack.callback(reporter.close)
    trace = Trace(folder.trace, device) if options.profile and world.first else None
    if trace is not None:
        stack.callback(trace.close)
    about = About(wanted.title, wanted.identity, wanted.run, options.out.absolute())
    loggers = Feeds(wanted.loggers if world.first else [], about, reporter.say)
    stack.callback(loggers.close)
    host = RunHost(folder, wanted.identity, device, stop, lease, reporter, loggers, trace)
    return _to_the_end(options, wanted, device, world, host)


def _to_the_end(
    options: argparse.Namespace, wanted: Request, device: torch.device, world: World, host: RunHost
) -> None:
    if world.first:
        host.folder.remove_leftovers()
        host.folder.write_request(wanted.envelope)
    with _of_the_user():
        begin = validated if wanted.run.get("validation_split") else engine
        workers = machine.at_most_its_own(options.workers, device)
        trainer = begin.trainer(wanted.run, options.data, device, world, workers, host)
    host.loggers.start()
    try:
        result = trainer.train()
    except Diverged as divergence:
        return outcome.write_diverged(wanted, trainer, host, divergence)
    except CannotSplit as error:
        raise BadInput(error) from error
    except RuntimeError as error:
        if not memory.ran_out(error):
            raise
    else:
        return outcome.write_finished(wanted, trainer, host, result, options.keep)
    # Here what the failed step held is free.
    raise BadInput(memory.advice(trainer, wanted.run))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ValueError(f"cannot create the folder --out {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise ValueError(f"no permission to write to --out {folder}")


def _say_there_is_nothing_to_do(folder: RunFolder) -> None:
    print(f"{folder.metrics} already exists; nothing to do")


@contextmanager
def _of_the_user() -> Iterator[None]:
    """Turn errors that a user can mend into ``BadInput``; others are faults of this program."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise BadInput(error) from error


def _end(status: int, reason: object, options: argparse.Namespace) -> int:
    """Say why it ends; one of several runs says which it is, and keeps a failure in its own log."""
    line = " ".join(str(reason).split())
    if options.runs is not None and options.out is not None:
        if status != BUSY:  # the log is another process's then
            several.note(options.out, line)
        line = f"{options.out}: {line}"
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)
    return status
