"""Pass a run's rows to its loggers without waiting for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from favit.disk.run_folder import RunFolder
from favit.train.loggers import child
from favit.train.loggers.about import About

# How long a life waits at its end for its loggers, in seconds: with its result on disk, or asked to stop.
WAIT_S, WAIT_STOPPED_S = 30.0, 5.0

# Imports nothing of the folder that people type in but what they name, which comes last.
_PROGRAM = (
    "import os, sys; sys.path[:] = [{root!r}, *sys.path, os.getcwd()]; "
    "from favit.train.loggers.child import main; main({parent})"
)
_ROOT = Path(__file__).parents[3]


class Feeds:
    """All loggers of one life of a run; ``entries`` as ``run.json`` has them, ``say`` tells people a line.

    Nothing raises, whatever a logger does.
    """

    def __init__(
        self, entries: Sequence[Mapping[str, Any]], about: About, say: Callable[[str], None]
    ) -> None:
        self._entries, self._about, self._say = entries, about, say
        self._feeds: list[_Feed] = []
        self._given = 0  # rows, in this life
        self._end: dict[str, Any] = {"status": "stopped", "metrics": {}}

    def start(self) -> None:
        """Start their processes."""
        self._feeds = [_Feed(entry, self._about, self._say) for entry in self._entries]

    def begins_anew(self) -> None:
        """There is no checkpoint to go on from."""
        self._tell({"anew": True})

    def offer(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Hand over the rows that were not in this life yet."""
        for row in history[self._given :]:
            self._tell({"row": row})
        self._given = len(history)

    def end(self, status: str, metrics: Mapping[str, float], history: Sequence[Mapping[str, Any]]) -> None:
        """The run has a result."""
        self.offer(history)
        self._end = {"status": status, "metrics": dict(metrics)}

    def close(self) -> None:
        """Wait for the loggers to finish, for ``WAIT_S`` or ``WAIT_STOPPED_S``, and end those that do not."""
        wait = WAIT_STOPPED_S if self._end["status"] == "stopped" else WAIT_S
        self._tell({"end": self._end})
        until = time.monotonic() + wait
        for feed in self._feeds:
            feed.close(until)
        self._feeds = []

    def _tell(self, what: Mapping[str, Any]) -> None:
        for feed in self._feeds:
            feed.tell(what)


class _Feed:
    """One logger's process, as the run sees it."""

    def __init__(self, entry: Mapping[str, Any], about: About, say: Callable[[str], None]) -> None:
        self.name, self._say = str(entry.get("name")), say
        folder = RunFolder(about.folder)
        self._log = folder.loggers_log
        self._waiting = b""  # for a process that does not read
        self._process: subprocess.Popen[bytes] | None = None
        before = signal.pthread_sigmask(signal.SIG_BLOCK, child.SIGNALS)  # until it leaves them to the run
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM.format(root=str(_ROOT), parent=os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,  # to end it with all that it starts
            )
        except OSError as error:
            self._give_up(str(error))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                os.set_blocking(stream.fileno(), False)
            paths = {"marker": str(folder.logged(self.name)), "log": str(self._log)}
            self.tell({**entry, "options": entry.get("options") or {}, "about": about.as_json(), **paths})

    def tell(self, what: Mapping[str, Any]) -> None:
        """Pass on a line, as far as the process takes it now."""
        if self._process is not None:
            self._waiting += json.dumps(what, default=str).encode() + b"\n"
            self._pass_on()

    def close(self, until: float) -> None:
        """Wait for its end, and end it where that does not come."""
        while self._process is not None and self._waiting and time.monotonic() < until:
            self._pass_on()
            time.sleep(0.01)
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._give_up("it did not finish and was stopped")
            return
        if self._process.returncode != 0:
            self._give_up(self._last_words())
        self._end_all()

    def _pass_on(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(self._process.stdin.fileno(), self._waiting) :]
        except BlockingIOError:
            return
        except OSError:  # it has ended
            self._give_up(self._last_words())

    def _last_words(self) -> str:
        """Why the process ended."""
        assert self._process is not None and self._process.stdout is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)  # its end of the pipe is closed: it is all but gone
        try:
            said = os.read(self._process.stdout.fileno(), 4096).decode(errors="replace").strip()
        except OSError:
            said = ""
        return said or f"its process exited with status {self._process.returncode}"

    def _give_up(self, why: str) -> None:
        self._end_all()
        more = f" (see {self._log.name})" if self._log.exists() else ""
        self._say(f"logger {self.name} failed; the run continues without it: {why}{more}")

    def _end_all(self) -> None:
        process, self._process, self._waiting = self._process, None, b""
        if process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        with contextlib.suppress(OSError):
            if not self._log.stat().st_size:
                self._log.unlink()
