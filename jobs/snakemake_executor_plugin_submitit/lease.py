"""Keep a second sweep out of a folder, by a lease instead of Snakemake's lock, which outlives its process.

The holder renews the lease file; one that is not renewed goes stale. Ages are differences between
times that the file system itself gave, so clocks of login nodes need not agree.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from .allocation import processes
from .allocation.files import create_once, file_system_time, read_json

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
RENEWALS = 6  # how often a lease is renewed before it would go stale


class Lease:
    """A lease on a folder, from `acquire` to `release`. `lost` is called if another sweep takes it away."""

    def __init__(
        self,
        path: Path,
        stale_s: float,
        lost: Callable[[], None],
        say: Callable[[str], None],
        job: str = "",
    ) -> None:
        """`job` is the id of the SLURM job that this process is a start of, if it is one that comes back."""
        self._job = job
        self.path, self.stale_s, self._lost, self._say = path, stale_s, lost, say
        self._nonce = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="lease")
        self._holder = {
            "nonce": self._nonce,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_start": process_start(os.getpid()),
            "user": getpass.getuser(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "job": job,
        }

    def acquire(self) -> None:
        """Take the lease. Raises WorkflowError while another sweep holds it and is alive."""
        former = self._outwait()
        if former is not None:
            self._put_aside(former)
        if not create_once(self.path, json.dumps(self._holder)):
            raise WorkflowError(already_running(self._read() or {}))
        self._thread.start()

    def _put_aside(self, former: dict[str, Any]) -> None:
        """Remove the lease of a holder that is gone, unless somebody else has just replaced it."""
        aside = self.path.with_name(f".{self.path.name}.{self._nonce}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        if (found := read_json(aside) or {}).get("nonce") != former.get("nonce"):
            aside.rename(self.path)
            raise WorkflowError(already_running(found))
        aside.unlink()

    def _read(self) -> dict[str, Any] | None:
        """Return who holds the lease, as the file says; None if nobody does.

        A crash of the file system may leave an empty file: of somebody unknown, who is waited for by its age.
        """
        found: dict[str, Any] | None = read_json(self.path)
        return {} if found is None and self.path.exists() else found

    def held(self) -> bool:
        """Return whether the lease is still ours."""
        return bool((self._read() or {}).get("nonce") == self._nonce)

    def release(self) -> None:
        """Give the lease up, unless it is another's by now."""
        self._stop.set()
        if self.held():
            self.path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._stop.wait(self.stale_s / RENEWALS):
            try:
                if not self.held():
                    self._lost()
                    return
                os.utime(self.path)
            except OSError as error:  # a full or slow disk: try again
                self._say(f"Could not renew the lease {self.path}, trying again: {error}")

    def _outwait(self) -> dict[str, Any] | None:
        """Return the lease of a holder that has gone, None if there is none. Raises WorkflowError if it lives."""
        begun, told, first = time.monotonic(), False, None
        while (holder := self._read()) is not None and not gone(holder):
            try:
                renewed = self.path.stat().st_mtime
            except FileNotFoundError:
                return None
            if self._job and holder.get("job") == self._job:
                return holder  # an earlier start of this job: SLURM has ended it
            first = renewed if first is None else first
            if holder.get("host") == socket.gethostname() or renewed != first:
                raise WorkflowError(already_running(holder))
            if file_system_time(self.path.parent) - renewed > self.stale_s:
                return holder
            if not told:
                who = f"{holder.get('host', '?')} (process {holder.get('pid', '?')})"
                self._say(
                    f"A sweep on {who} held this folder and may be dead. Waiting up to {self.stale_s:.0f} s to be sure."
                )
                told = True
            if time.monotonic() - begun > 2 * self.stale_s:
                return holder
            time.sleep(min(1.0, self.stale_s / 10))
        return holder


def holder_alive(path: Path, stale_s: float) -> str:
    """Return what to tell who wants to start beside the lease's holder, empty if there is none or it is gone."""
    holder: dict[str, Any] | None = read_json(path)
    if holder is None or gone(holder):
        return ""
    try:
        fresh = file_system_time(path.parent) - path.stat().st_mtime <= stale_s
    except FileNotFoundError:
        return ""
    return already_running(holder) if fresh or holder.get("host") == socket.gethostname() else ""


def gone(holder: dict[str, Any]) -> bool:
    """Return whether the holder is a process of this host that no longer exists."""
    if holder.get("host") != socket.gethostname():
        return False
    return bool(process_start(int(holder["pid"])) != holder["process_start"])


def process_start(pid: int) -> str | None:
    """Return boot and start time of a process, which no other process shares; None if it does not run."""
    since = processes.started(pid)
    return None if since is None else f"{BOOT_ID.read_text().strip()}:{since}"


def already_running(holder: dict[str, Any]) -> str:
    """Tell who holds the folder, and what to do."""
    return (
        f"another sweep runs in this folder: process {holder.get('pid')} on {holder.get('host')} "
        f"({holder.get('user')}, since {holder.get('since')}). Wait for it to finish, or stop it; "
        "`python -m snakemake_executor_plugin_submitit status` shows its jobs."
    )
