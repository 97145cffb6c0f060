"""Holding a run: one process takes its lease for all of them, waiting for the present holder where that is asked."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from favit.disk.lease import Busy, Lease
from favit.train import distributed
from favit.train.distributed import World
from favit.train.life.signals import StopRequest

_LOOK_AGAIN_S = 2.0  # while another process trains the run


def hold(folder: Path, wait: bool, world: World, stop: StopRequest, stack: ExitStack) -> Lease | None:
    """The first process's lease, released with ``stack``; ``None`` on the others. ``Busy`` on all if it is refused."""
    lease, refusal = None, None
    if world.first:
        try:
            lease = _acquired(folder, wait, stop)
            stack.callback(lease.release)
        except Busy as busy:
            refusal = str(busy)
    refusal = distributed.broadcast_object(refusal, world)
    if refusal:
        raise Busy(refusal)
    return lease


def _acquired(folder: Path, wait: bool, stop: StopRequest) -> Lease:
    """The lease, at once or after its present holder; ``Busy`` if that is not to be waited for."""
    said = False
    while True:
        try:
            return Lease(folder).acquire(lambda: stop.received is not None)
        except Busy as busy:
            if not wait or stop.received:
                raise
            if not said:
                print(f"{busy}; waiting", flush=True)
                said = True
            time.sleep(_LOOK_AGAIN_S)
