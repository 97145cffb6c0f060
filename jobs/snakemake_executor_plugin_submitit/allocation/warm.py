"""Run several members of a pack, one after the other, in one warm process.

Their rule names a `pack_command`, which gets a file with each member's `pack_line`. It prints a line of JSON with
`exit_code` as each ends, in the order of the file; whatever else it says is the log of the one that runs. What it has
not told of when it ends is started anew in another process, except the one that was running: that has failed.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import child
from .claim import claim
from .folder import BatchFolder
from .member import GIVEN_BACK, Membership
from .record import dataclass, replace
from .task import SIGNAL_LAG_S, Start, open_log, say

LOOK_S = 1.0  # between two looks at what the process says
STAY = "trap : USR2 TERM; "  # the shell outlives the signals, and ends as its command does
SILENT = "its pack_command ended without saying how this job ended"


def command_of(task: dict[str, Any]) -> str:
    """Return the command that can run the task along with others, empty if there is none."""
    return str(task.get("pack_command") or "") if task.get("pack_line") else ""


def main(batch: Path, indexes: Sequence[int], intent: dict[str, Any], job_id: str) -> int:
    """Run these members, which are claimed and have equal commands. Return a member's exit code, the highest."""
    membership = Membership.read()
    assert membership is not None
    os.chdir(intent["folder"])
    starts, highest = [], 0
    for index in indexes:
        if not claim(batch, index, membership.owner):
            continue
        open_log(Path(intent["tasks"][index]["log"]))
        start = Start(batch, index, intent, job_id, replace(membership))
        start.announce()
        if start.prepare():
            starts.append(start)
        else:
            start.life.end()
    while starts:
        line = Line(batch, starts, intent)
        highest = max(highest, line.run())
        starts = line.left
    return highest


@dataclass(frozen=True)
class Told:
    """An end that the process has told of: the run began after `since` and ended before `until` (time.monotonic)."""

    start: Start
    code: int
    since: float
    until: float

    def caused_by(self, signals: Sequence[float]) -> bool:
        """Return whether a signal may be why it ended."""
        return any(self.since <= signal <= self.until for signal in signals)


class Line:
    """One process, and the members that it runs."""

    def __init__(self, batch: Path, starts: list[Start], intent: dict[str, Any]) -> None:
        self.batch, self.left, self.heartbeat_s = batch, list(starts), intent["heartbeat_s"]
        self.command = command_of(starts[0].task)
        place = BatchFolder(batch).lines(starts[0].index)
        self.file, self.said = place.with_suffix(".lines"), place.with_suffix(".said")
        self._read, self._rest = 0, b""
        self._told: list[Told] = []  # ends that may have been a signal's doing: not settled yet
        self._beaten = self._heard = self._current_since = time.monotonic()
        membership = starts[0].membership
        assert membership is not None
        self._limits = child.Limits(membership.limit_s, intent["signal_delay_s"], in_pack=True)
        self.highest = 0

    def run(self) -> int:
        """Run the process to its end, and settle what it has told. `left` is then what is to be started anew."""
        self.file.write_text("".join(f"{start.task['pack_line']}\n" for start in self.left), encoding="utf-8")
        first = self.left[0]
        script = f"{STAY}{self.command} {shlex.quote(str(self.file))}"
        self.said.unlink(missing_ok=True)
        output = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._beat()
        open_log(Path(first.task["log"]))
        assert first.membership is not None
        try:
            ending = child.run(
                ["/bin/bash", "-c", script],
                first.environment(),
                pulse=self._pulse,
                pulse_s=LOOK_S,
                limits=self._limits,
                small_enough=first.membership.small_enough,
                output=output,
            )
        finally:
            os.close(output)
        if ending.exit_code and not ending.fenced:
            child.hear(ending, SIGNAL_LAG_S)
        self._listen(to_the_end=True)
        self._end(ending)
        for path in (self.file, self.said):
            path.unlink(missing_ok=True)
        return self.highest

    def _settle(self, start: Start, ending: child.Ending) -> None:
        open_log(Path(start.task["log"]))
        self.highest = max(self.highest, start.settle(ending))

    def _end(self, ending: child.Ending) -> None:
        """Settle the ends that were told, then the member that was running, and hand back what cannot go on here."""
        for told in self._told:
            quiet = child.Ending(told.code, warned=False, terminated=False, fenced=False)
            loud = replace(ending, exit_code=told.code, fenced=False, too_large=False)
            self._settle(told.start, loud if told.caused_by(ending.signals) else quiet)
        if not self.left:
            return
        # It had not begun when a signal ended the one before it, and the process.
        before = any(told.caused_by(ending.signals) for told in self._told)
        spared = bool(ending.signals) and (before or max(ending.signals) < self._current_since)
        if not spared or ending.fenced or ending.too_large:
            current = self.left.pop(0)
            if not ending.exit_code and not ending.fenced and not ending.signals:
                open_log(Path(current.task["log"]))
                say(SILENT)
            self._settle(current, replace(ending, exit_code=ending.exit_code or 1))
        if ending.told:
            for start in self.left:
                start.hand_back()
            self.left, self.highest = [], max(self.highest, GIVEN_BACK)

    def _pulse(self) -> bool:
        """Hear what was said, and show that all live. Return False if the process must end: the current one is over."""
        self._listen()
        now = time.monotonic()
        if self.left and self.left[0].life.fenced():
            return False
        if now - self._beaten >= self.heartbeat_s:
            self._beat()
        return True

    def _beat(self) -> None:
        """Show that all live, and which of them the process is at."""
        self._beaten = time.monotonic()
        for place, start in enumerate(self.left):
            start.life.beat(in_line=place > 0)

    def _listen(self, to_the_end: bool = False) -> None:
        """Read what the process has said since, into the log of whom it concerns. The last line may be unfinished."""
        begun = time.monotonic()
        with self.said.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        lines = (self._rest + new).split(b"\n")
        self._rest = lines.pop()
        if to_the_end and self._rest:
            lines.append(self._rest)
        for line in lines:
            code = exit_code(line)
            if code is None:
                os.write(1, line + b"\n")
            elif self.left:
                self._one_has_ended(code)
        self._heard = begun

    def _one_has_ended(self, code: int) -> None:
        start = self.left.pop(0)
        if code == 0:
            self._settle(start, child.Ending(0, warned=False, terminated=False, fenced=start.life.fenced()))
        else:
            self._told.append(Told(start, code, self._current_since, time.monotonic()))
        self._current_since = self._heard
        self._limits.begun = time.monotonic()  # each has the whole of its time
        if self.left:
            self.left[0].began = time.time()
            self.left[0].life.beat()
            open_log(Path(self.left[0].task["log"]))


def exit_code(line: bytes) -> int | None:
    """Return the exit code that a line tells, None if it is no line of the protocol."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        said = json.loads(line)
    except ValueError:
        return None
    code = said.get("exit_code") if isinstance(said, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None
