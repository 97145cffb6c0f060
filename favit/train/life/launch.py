"""Starts the processes of one run: itself, torchrun on one node, or one torchrun on each of several.

``--nodes N --processes P`` before or among the options of training ask for P processes on each of N nodes of a
SLURM allocation. Free of torch and of the rest of this package, so that it is up at once.

A job is warned of its end by SIGUSR2. It is meant for the processes that train; torchrun has no handler and would
die of it, so that it ignores it. On several nodes the warning takes this way: whoever warns a job finds a handler
in the launcher, which passes it to srun (that takes it without one), which passes it to a launcher on each node.
SIGTERM goes to every process of a job anyway: launchers only outlive it, to say how it ended.

torchrun ends with 1 whatever its processes end with. So it runs inside this file, started as a program, which ends
as they do where that says what others are to do: wait for whoever trains the run, or free the disk.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

# What a process that trains ends with, so that others know what to do. Where several differ, the first of
# these says it. docs/reference/exit-codes.md is made of these texts.
DISK_FULL = 5
"""The disk is full. The last checkpoint is intact: free some space and start the run again."""
BUSY = 3
"""Another process is training this run."""
INTERRUPTED = 4
"""Stopped by a signal after saving a checkpoint. Start the run again to resume it."""
_WARN_AGAIN_S = 1.0  # until each process that trains has imported enough to hear it


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide where a run's processes are."""
    parser.add_argument("--nodes", type=int, default=1, help="nodes of a SLURM allocation (default: 1)")
    parser.add_argument("--processes", type=int, default=1, help="processes on each node (default: 1)")
    parser.add_argument("--meet", help=argparse.SUPPRESS)  # the first node, told to the launchers on all


def launch(arguments: Sequence[str]) -> list[str]:
    """Start what the arguments ask for and end as it ends; where this is the only process, return the others."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_options(parser)
    wanted, others = parser.parse_known_args(arguments)
    if wanted.nodes == wanted.processes == 1:
        return others
    if any(word.partition("=")[0] == "--runs" for word in others):
        sys.exit("--runs trains each run in one process; remove --nodes and --processes, or use --run")
    program = _program(len(arguments))
    if wanted.nodes == 1:
        command = [*_torchrun(wanted.processes), "--standalone", "--no-python", "--", *program, *others]
        os.execv(command[0], command)
    if wanted.meet is None:
        place = ["--nodes", str(wanted.nodes), "--processes", str(wanted.processes)]
        meet = ["--meet", socket.gethostname()]
        sys.exit(run([*_srun(wanted.nodes), *program, *place, *meet, *others], _warn_srun))
    torchrun = [*_torchrun(wanted.processes), *_rendezvous(wanted.nodes, wanted.meet)]
    sys.exit(run([*torchrun, "--no-python", "--", *program, *others], _warn_trainers, ignores_warning=True))


def run(command: Sequence[str], warn: Callable[[int], bool], ignores_warning: bool = False) -> int:
    """Run a command to its end and return its exit status, 128 + n where signal n ended it.

    Told by SIGUSR2, ``warn`` is called with the command's process number, again and again until it returns True.
    """
    child: subprocess.Popen[bytes] | None = None

    def warned(signum: int, frame: FrameType | None) -> None:
        if child is None or not warn(child.pid):
            signal.setitimer(signal.ITIMER_REAL, _WARN_AGAIN_S)

    for signum in (signal.SIGUSR2, signal.SIGALRM):
        signal.signal(signum, warned)
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(command, preexec_fn=_ignore_warning if ignores_warning else None)
    status = child.wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return status if status >= 0 else 128 - status


def _ignore_warning() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _program(arguments: int) -> list[str]:
    """How this process was started, without its last so many arguments."""
    started = sys.orig_argv
    return [sys.executable, "-u", *started[1 : len(started) - arguments]]


def _torchrun(processes: int) -> list[str]:
    # By path, and without its folder among those that modules are looked for in.
    return [sys.executable, "-P", str(Path(__file__).absolute()), "--nproc-per-node", str(processes)]


def _become_torchrun() -> None:
    """Be torchrun; end with its processes' own status where that has a meaning."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        torchrun.main()
    except ChildFailedError as error:
        ended = {failure.exitcode for failure in error.failures.values()}
        for status in (DISK_FULL, BUSY, INTERRUPTED):
            if status in ended:
                sys.exit(status)
        raise


def _srun(nodes: int) -> list[str]:
    tasks = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return ["srun", *tasks, "--kill-on-bad-exit=0"]  # the others save what they have before they end


def _rendezvous(nodes: int, first: str) -> list[str]:
    rank, port = os.environ["SLURM_NODEID"], os.environ["MASTER_PORT"]
    return ["--nnodes", str(nodes), "--node-rank", rank, "--master-addr", first, "--master-port", port]


def _warn_srun(srun: int) -> bool:
    os.kill(srun, signal.SIGUSR2)
    return True


def _warn_trainers(torchrun: int) -> bool:
    """Warn those that torchrun has started; whether there are any and all could hear it."""
    try:
        trainers = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
        heard = [_has_handler(pid) for pid in trainers]
        for pid, hears in zip(trainers, heard, strict=True):
            if hears:
                os.kill(int(pid), signal.SIGUSR2)
    except OSError:  # one has just ended
        return False
    return bool(heard) and all(heard)


def _has_handler(pid: str) -> bool:
    """Whether a process catches SIGUSR2."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1)
    return False


if __name__ == "__main__":
    _become_torchrun()
