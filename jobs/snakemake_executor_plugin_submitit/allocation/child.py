"""Run the task's command, pass signals on to whoever can use them, and say how it ended.

SIGUSR2 is the warning before a time limit or a preemption: it goes only to processes that handle it,
again and again until one does (a training that is still importing has no handler yet). SIGTERM means
that the end is near: it goes to everybody, once. A shell that has just begun would survive it alone and then
start its command, which is therefore told when it is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from . import processes
from .record import dataclass, field

TOLD_EARLY = "SUBMITIT_TOLD_EARLY"  # names the signal that the batch script got before this program was there
TOLD = {signal.SIGUSR2, signal.SIGTERM}
WATCHED = TOLD | {signal.SIGCHLD}
BEGINNING_S, LOOK_AGAIN_S = (
    2.0,
    0.05,
)  # how long a shell may take to start its command; the pause between looks


WEIGH_S = 1.0  # between two looks at the command's memory


@dataclass
class Ending:
    """How the command ended: its exit code (128 + n for signal n) and what it had been told."""

    exit_code: int
    warned: bool  # SIGUSR2 came and a process handled it
    terminated: bool  # SIGTERM came
    fenced: bool  # a newer life of the allocation took over
    timed_out: bool = False  # its own time limit was reached, which `Limits` keeps
    too_large: bool = False  # `small_enough` said that it takes too much memory
    told: bool = field(default=False, compare=False)  # a signal came from outside, not for its own time limit
    signals: list[float] = field(default_factory=list, compare=False)  # when any came, by time.monotonic


@dataclass
class Limits:
    """When to end a command where SLURM does not: on a single machine, and in a pack, whose allocation goes on.

    `begun` may be set anew while the command runs: from then on its time counts again.
    """

    limit_s: float | None  # SIGTERM comes this long after the start (None: never)
    warning_s: float  # SIGUSR2 comes this much earlier
    kill_wait_s: float = 30.0  # SIGKILL comes this long after SIGTERM
    in_pack: bool = False  # then SLURM decides how long after a SIGTERM of its own
    begun: float = field(default_factory=time.monotonic)

    def times(self) -> tuple[float, float]:
        """Return when to warn and when to end, by time.monotonic."""
        if self.limit_s is None:
            return float("inf"), float("inf")
        end = self.begun + self.limit_s
        return max(self.begun, end - self.warning_s), end


def block_signals() -> None:
    """Keep the signals pending until they are waited for. Call it before anything is started.

    One that came while the batch script was still a shell is pending already, or remembered by name.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, WATCHED)
    if (early := os.environ.pop(TOLD_EARLY, "")) in ("TERM", "USR2"):
        os.kill(os.getpid(), signal.Signals[f"SIG{early}"])


def run(
    argv: Sequence[str],
    env: dict[str, str],
    *,
    pulse: Callable[[], bool],
    pulse_s: float,
    limits: Limits | None,
    small_enough: Callable[[int], bool] | None = None,
    output: int | None = None,
) -> Ending:
    """Run `argv` to its end and return how it ended.

    `pulse` is called every `pulse_s`; where it returns False the command is killed (fenced). So it is where
    `small_enough`, called every second with the command's process id, returns False (too large). Where SIGTERM
    has come already nothing is started: the shell might meet it before its first command, and go on. What the
    command says goes to the file descriptor `output`, if there is one, else to ours.
    """
    if signal.SIGTERM in signal.sigpending():
        return Ending(128 + signal.SIGTERM, warned=False, terminated=True, fenced=False, told=True)
    child = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, ()),
        start_new_session=limits is not None and not limits.in_pack,  # out of reach of the terminal's Ctrl-C
    )
    ending = Ending(0, warned=False, terminated=False, fenced=False)
    never, begun, warn, end = float("inf"), time.monotonic(), False, False
    pulse_at, warn_at, term_at, kill_at = begun + pulse_s, never, never, never
    weigh_at = begun if small_enough is not None else never
    if limits is not None:
        limits.begun = limit_begun = begun
        warn_at, term_at = limits.times()
    while child.poll() is None:
        if limits is not None and limits.begun != limit_begun and not ending.terminated:
            limit_begun, warn = limits.begun, warn and ending.told
            warn_at, term_at = limits.times()
        until = min(pulse_at, warn_at, term_at, kill_at, weigh_at)
        pause = LOOK_AGAIN_S if end else 1.0 if warn else never
        came = signal.sigtimedwait(WATCHED, min(pause, max(0.0, until - time.monotonic())))
        signum, now = came.si_signo if came is not None else None, time.monotonic()
        if signum in TOLD or now >= min(warn_at, term_at):
            ending.told |= signum in TOLD
            ending.signals.append(now)
        if signum == signal.SIGUSR2 or now >= warn_at:
            warn, warn_at = True, never
        if (signum == signal.SIGTERM or now >= term_at) and not ending.terminated:
            ending.terminated, ending.timed_out, term_at = True, now >= term_at, never
            end = _end(child.pid, argv) and now < begun + BEGINNING_S
            if limits is not None and (ending.timed_out or not limits.in_pack):
                kill_at = now + limits.kill_wait_s
        elif end:
            end = _end(child.pid, argv, again=True) and now < begun + BEGINNING_S
        if warn and _warn(child.pid, argv):
            ending.warned, warn = True, False
        if now >= pulse_at:
            pulse_at = now + pulse_s
            if not pulse():
                ending.fenced, kill_at = True, now
        if small_enough is not None and now >= weigh_at:
            weigh_at = now + WEIGH_S
            if not small_enough(child.pid):
                ending.too_large, kill_at, weigh_at = True, now, never
        if now >= kill_at:
            processes.send(child.pid, signal.SIGKILL, only_catching=False)
            kill_at = never
    ending.exit_code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    return ending


def hear(ending: Ending, seconds: float) -> None:
    """Note signals that are pending, or come within so long: the command may have died of one before us."""
    end = time.monotonic() + seconds
    while not ending.terminated:
        came = signal.sigtimedwait(TOLD, max(0.0, end - time.monotonic()))
        if came is None:
            return
        ending.told = True
        ending.signals.append(time.monotonic())
        ending.warned |= came.si_signo == signal.SIGUSR2
        ending.terminated |= came.si_signo == signal.SIGTERM


def _end(root: int, argv: Sequence[str], again: bool = False) -> bool:
    """Send SIGTERM; the shell around the command gets it once. Return whether the shell was alone."""
    found = processes.descendants(root)
    is_shell = processes.arguments(root) == [os.fsencode(argument) for argument in argv]
    processes.send_to(found[1:] if again and is_shell else found, signal.SIGTERM)
    return is_shell and len(found) == 1


def _warn(root: int, argv: Sequence[str]) -> bool:
    """Send SIGUSR2. Return whether anyone but the shell around the command (or its fork) handles it.

    What the shell has become by `exec` has other arguments than those it was started with.
    """
    started_with = [os.fsencode(argument) for argument in argv]
    handled = processes.send(root, signal.SIGUSR2, only_catching=True)
    return any(found and found != started_with for found in handled.values())
