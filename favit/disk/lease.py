"""One process at a time trains a run, wherever it is: a lease in the run's folder.

The holder's file is renewed by touching it, and stale once that has not
happened for a while; both are judged by the file server's clock alone, so nodes
need not agree about the time. A date that lies ahead all the same, as another host's clock may have set it, proves
nothing; then whoever wants the lease watches whether it changes. Taking over replaces the file. A holder that
finds another's name in it is fenced: it stops at its next step and writes
nothing more. A run is deterministic, so what it wrote until then is what the
newcomer would have written.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from favit.disk.files import write_atomic

STALE_AFTER = 60.0
RENEW_EVERY = 5.0
_NAME = "lease.json"
_SETTLE = 0.5  # between taking over and trusting it: longer than another's look and write take


class Busy(Exception):
    """Another process is training this run."""


class Fenced(Exception):
    """Another process has taken over this run."""


@dataclass(frozen=True)
class Holder:
    """The holder of a lease: a process of a machine, and the life of the SLURM allocation that it is."""

    token: str
    allocation: str
    life: int
    host: str
    machine: str  # boot and process namespace: where the process number means something
    pid: int
    started: int  # the process's start in clock ticks since boot, as process numbers are reused

    @classmethod
    def me(cls, environment: Mapping[str, str] = os.environ) -> Holder:
        """This process, as SLURM started it or on its own."""
        job = environment.get("SLURM_JOB_ID", "")
        return cls(
            token=uuid.uuid4().hex,
            allocation=f"{environment.get('SLURM_CLUSTER_NAME', '')}/{job}" if job else "",
            life=int(environment.get("SLURM_RESTART_COUNT", "0") or 0),
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            started=_started(os.getpid()) or 0,
        )

    def fences(self, other: Holder) -> bool:
        """True if this is a later life of the other's allocation, which has then ended."""
        return bool(self.allocation) and self.allocation == other.allocation and self.life > other.life

    def is_gone(self) -> bool:
        """True if this holder is known to have ended; on another machine always false, since only its own can tell."""
        return self.machine == _machine() != "" and _started(self.pid) != self.started


class Lease:
    """The right to train in ``folder``; ``acquire`` it, ask ``fenced`` at each step, ``release`` it."""

    def __init__(
        self,
        folder: Path,
        me: Holder | None = None,
        stale_after: float = STALE_AFTER,
        renew_every: float = RENEW_EVERY,
        settle: float = _SETTLE,
    ) -> None:
        self._path = Path(folder) / _NAME
        self._me = me or Holder.me()
        self._stale_after = stale_after
        self._renew_every = renew_every
        self._settle = settle
        self._over = threading.Event()
        self.fenced = False

    def acquire(self, stopped: Callable[[], bool] = lambda: False) -> Lease:
        """Take the lease, or raise ``Busy`` saying who holds it.

        Takes up to the time after which a lease is stale where its date lies ahead, unless ``stopped`` by then.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._create():
            self._take_over(stopped)
        threading.Thread(target=self._renew, daemon=True, name="lease").start()
        return self

    def check(self) -> None:
        """Raise ``Fenced`` if another has taken over, looking at the file: before writing anything that lasts."""
        self._look()
        if self.fenced:
            raise Fenced(f"another process has taken over this run ({_who(self._read())})")

    def release(self) -> None:
        """Release the lease, unless another process has it by now."""
        self._over.set()
        self._look()
        if not self.fenced:
            with contextlib.suppress(OSError):  # it goes stale by itself
                self._path.unlink(missing_ok=True)

    def _create(self) -> bool:
        """Create the file with its content in one step; False if there is one."""
        handle, name = tempfile.mkstemp(prefix=".lease.", suffix=".tmp", dir=self._path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(self._text())
        try:
            os.link(name, self._path)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
            return self._create_without_links()
        finally:
            Path(name).unlink(missing_ok=True)

    def _create_without_links(self) -> bool:
        try:
            with self._path.open("x") as file:
                file.write(self._text())
            return True
        except FileExistsError:
            return False

    def _take_over(self, stopped: Callable[[], bool]) -> None:
        holder, age = self._read(), self._age()
        free = age is None or age > self._stale_after
        if holder is not None:
            free = free or self._me.fences(holder) or holder.is_gone()
        if not free and age is not None and age < -self._stale_after:
            free = self._stays_as_it_is(stopped)
        if not free:
            when = f"renewed {age:.0f} s ago" if age is not None and age >= 0 else "renewed just now"
            raise Busy(
                f"another process trains this run ({_who(holder)}, {when}; "
                f"if it has died, the run is free {self._stale_after:.0f} s after its last renewal)"
            )
        write_atomic(self._path, self._text())
        # Of several that found the lease free the last to write has it; wait for it, then see who that is.
        time.sleep(self._settle)
        now = self._read()
        if now is None or now.token != self._me.token:
            raise Busy(f"another process trains this run ({_who(now)}, which took it over just now)")

    def _stays_as_it_is(self, stopped: Callable[[], bool]) -> bool:
        """Whether nobody renews the file for as long as makes a lease stale."""
        before, began = self._stamp(), time.monotonic()
        while time.monotonic() - began < self._stale_after:
            if stopped() or self._stamp() != before:
                return False
            time.sleep(min(1.0, self._stale_after / 10))
        return True

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino

    def _renew(self) -> None:
        while not self._over.wait(self._renew_every):
            self._look()
            if self.fenced:
                return
            try:
                os.utime(self._path)
            except OSError:
                continue  # the next look says what became of the file

    def _look(self) -> None:
        try:
            holder = self._read()
        except OSError:
            return  # a file server that does not answer proves nothing
        if holder is None or holder.token != self._me.token:
            self.fenced = True

    def _read(self) -> Holder | None:
        """Who the file names; ``None`` if it is absent or unreadable."""
        try:
            return Holder(**json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _age(self) -> float | None:
        """Seconds since the last renewal, by the file server's clock; ``None`` if the file is gone."""
        with tempfile.NamedTemporaryFile(prefix=".lease.", suffix=".tmp", dir=self._path.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
        try:
            return now - self._path.stat().st_mtime
        except FileNotFoundError:
            return None

    def _text(self) -> str:
        return json.dumps(asdict(self._me), indent=1)


def holder_of(folder: Path) -> str | None:
    """The host that holds the lease on ``folder``; ``None`` if there is none or it has gone stale.

    Judged by this machine's clock, which is good enough to tell people.
    """
    path = folder / _NAME
    try:
        if time.time() - path.stat().st_mtime > STALE_AFTER:
            return None
        return str(json.loads(path.read_text())["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _who(holder: Holder | None) -> str:
    if holder is None:
        return "unknown"
    job = f", job {holder.allocation.split('/')[-1]}" if holder.allocation else ""
    return f"process {holder.pid} on {holder.host}{job}"


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Start time of a process, ``None`` if there is none (a zombie counts as gone)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
