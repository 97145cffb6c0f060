"""Trains one run: ``python -m favit.train --run FILE|- --out DIR``.

Exit status: 0 finished, or diverged, which is a result too; 1 bad input, said in
one line; 3 another process trains this run; 4 stopped by a signal, with a
checkpoint saved; 5 no space left for files, the last checkpoint being intact.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from favit.train import device as devices
from favit.train import distributed, outcome, record, request
from favit.train.distributed import World
from favit.train.lease import Busy, Fenced, Lease
from favit.train.loop import Diverged, Interrupted, Trainer
from favit.train.progress import Reporter
from favit.train.request import Request
from favit.train.signals import StopRequest

FINISHED, BAD_INPUT, BUSY, INTERRUPTED, DISK_FULL = 0, 1, 3, 4, 5

_LOOK_AGAIN_S = 2.0  # while another process trains the run


class BadInput(Exception):
    """Something that whoever started this has to change."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        with ExitStack() as stack:
            return train(options, stack)
    except BadInput as error:
        return _end(BAD_INPUT, error)
    except (Busy, Fenced) as error:
        return _end(BUSY, error)
    except Interrupted as error:
        return _end(INTERRUPTED, error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _end(DISK_FULL, f"{error.strerror}: {options.out}; the last checkpoint there is intact")


def parser() -> argparse.ArgumentParser:
    """The command line; nothing in it changes a result."""
    parser = argparse.ArgumentParser(prog="python -m favit.train", description="Train one run.")
    parser.add_argument("--run", required=True, help="JSON file of the run, or - for standard input")
    parser.add_argument("--out", required=True, type=Path, help="folder for all that the run leaves")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data (default: data)")
    parser.add_argument("--device", choices=devices.NAMES, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait while another process trains the run, instead of ending with 3",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that read data not held in memory")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's own choice)")
    parser.add_argument(
        "--keep",
        choices=outcome.KEEP,
        default="none",
        help="what stays after success: nothing, the weights, or the last checkpoints too (default: %(default)s)",
    )
    return parser


def train(options: argparse.Namespace, stack: ExitStack) -> int:
    """One life of a run, from reading it to its result; what ``stack`` holds is undone whichever way it ends."""
    wanted = _or_bad_input(lambda: request.read(options.run, options.data))
    _or_bad_input(lambda: _make_folder(options.out))
    if outcome.is_there(options.out, wanted):
        return _nothing_to_do(options.out)
    stop = StopRequest().listen()
    device = _or_bad_input(lambda: devices.choose(options.device))
    world = distributed.join(device.type)
    device = devices.own(device, world)
    devices.configure(wanted.run, options.threads, device)
    lease = _lease(options, world, stop, stack)
    # Whoever held the lease until now may have finished.
    if distributed.broadcast_object(outcome.is_there(options.out, wanted), world):
        return _nothing_to_do(options.out)
    name = ".".join(str(wanted.run[part]) for part in ("model", "aggregator", "encoding"))
    reporter = Reporter(options.out, speaks=world.first, name=f"{name}.seed{wanted.run['seed']}")
    stack.callback(reporter.close)
    return _train(options, wanted, device, world, stop, lease, reporter)


def _train(
    options: argparse.Namespace,
    wanted: Request,
    device: torch.device,
    world: World,
    stop: StopRequest,
    lease: Lease | None,
    reporter: Reporter,
) -> int:
    if world.first:
        record.remove_leftovers(options.out)
        record.write_json(options.out / "run.json", wanted.envelope)
    module = importlib.import_module(f"favit.train.{wanted.task}")
    task = _or_bad_input(lambda: module.Task(wanted.run, options.data, device, world, options.workers))
    trainer = Trainer(task, wanted.run, wanted.identity, options.out, device, world, stop, lease, reporter)
    trainer.resume()
    try:
        result = trainer.train()
    except Diverged as divergence:
        outcome.write_diverged(options.out, wanted, trainer, divergence)
        return FINISHED
    outcome.write_finished(options.out, wanted, trainer, result, options.keep)
    return FINISHED


def _lease(options: argparse.Namespace, world: World, stop: StopRequest, stack: ExitStack) -> Lease | None:
    """The first process takes it for all; if it cannot, none goes on."""
    lease, refusal = None, None
    if world.first:
        try:
            lease = _acquired(options.out, options.wait, stop)
            stack.callback(lease.release)
        except Busy as busy:
            refusal = str(busy)
    refusal = distributed.broadcast_object(refusal, world)
    if refusal:
        raise Busy(refusal)
    return lease


def _acquired(folder: Path, wait: bool, stop: StopRequest) -> Lease:
    """The lease, at once or after its present holder; ``Busy`` where that is not to be waited for."""
    said = False
    while True:
        try:
            return Lease(folder).acquire()
        except Busy as busy:
            if not wait or stop.received:
                raise
            if not said:
                print(f"{busy}; waiting for it", flush=True)
                said = True
            time.sleep(_LOOK_AGAIN_S)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ValueError(f"--out {folder} cannot be a folder: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise ValueError(f"--out {folder} cannot be written")


def _nothing_to_do(folder: Path) -> int:
    print(f"{folder / 'metrics.json'} is there already: nothing to do")
    return FINISHED


def _or_bad_input(make):  # type: ignore[no-untyped-def]
    """``make()``, with what a user can get wrong told from what is a fault of this program."""
    try:
        return make()
    except (ValueError, FileNotFoundError) as error:
        raise BadInput(error) from error


def _end(status: int, reason: object) -> int:
    if os.environ.get("RANK", "0") == "0":
        print(" ".join(str(reason).split()), file=sys.stderr)
    return status


if __name__ == "__main__":
    distributed.leave(main())
