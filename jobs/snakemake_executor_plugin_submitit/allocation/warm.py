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
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import child
from .claim import claim
from .folder import BatchFolder
from .member import GIVEN_BACK, Membership
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
        line = Line(batch, starts, intent["heartbeat_s"])
        highest = max(highest, line.run())
        starts = line.left
    return highest


class Line:
    """One process, and the members that it runs."""

    def __init__(self, batch: Path, starts: list[Start], heartbeat_s: float) -> None:
        self.batch, self.left, self.heartbeat_s = batch, list(starts), heartbeat_s
        self.command = command_of(starts[0].task)
        place = BatchFolder(batch).lines(starts[0].index)
        self.file, self.said = place.with_suffix(".lines"), place.with_suffix(".said")
        self._read, self._rest = 0, b""
        self._told: list[tuple[Start, int]] = []  # ends that may have been a signal's doing: not settled yet
        self._beaten = self._current_since = time.monotonic()
        self._too_late = False
        self.highest = 0

    def run(self) -> int:
        """Run the process to its end, and settle what it has told. `left` is then what is to be started anew."""
        self.file.write_text("".join(f"{start.task['pack_line']}\n" for start in self.left))
        first = self.left[0]
        script = f"{STAY}{self.command} {shlex.quote(str(self.file))}"
        self.said.unlink(missing_ok=True)
        output = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        open_log(Path(first.task["log"]))
        assert first.membership is not None
        try:
            ending = child.run(
                ["/bin/bash", "-c", script],
                first.environment(),
                pulse=self._pulse,
                pulse_s=LOOK_S,
                limits=child.Limits(None, 0.0, in_pack=True),
                small_enough=first.membership.small_enough,
                output=output,
            )
        finally:
            os.close(output)
        if ending.exit_code and not ending.fenced:
            child.hear(ending, SIGNAL_LAG_S)
        self._listen()
        self._end(ending)
        for path in (self.file, self.said):
            path.unlink(missing_ok=True)
        return self.highest

    def _settle(self, start: Start, ending: child.Ending) -> None:
        open_log(Path(start.task["log"]))
        self.highest = max(self.highest, start.settle(ending))

    def _end(self, ending: child.Ending) -> None:
        """Settle the ends that were told, then the member that was running."""
        told_to_end = ending.warned or ending.terminated
        for place, (start, code) in enumerate(self._told):
            affected = told_to_end and place == len(self._told) - 1
            quiet = child.Ending(code, warned=False, terminated=False, fenced=False)
            self._settle(
                start, replace(ending, exit_code=code, fenced=False, too_large=False) if affected else quiet
            )
        if not self.left:
            return
        current = self.left[0]
        if told_to_end:
            handed_back = self.left if self._told else self.left[1:]
            if not self._told:
                self._settle(current, replace(ending, exit_code=ending.exit_code or 1))
            for start in handed_back:
                start.hand_back()
            self.left, self.highest = [], max(self.highest, GIVEN_BACK)
            return
        self.left = self.left[1:]
        if ending.fenced and self._too_late:
            late = child.Ending(137, warned=False, terminated=True, fenced=False, timed_out=True)
            self._settle(current, late)
        else:
            if not ending.exit_code and not ending.fenced:
                open_log(Path(current.task["log"]))
                say(SILENT)
            self._settle(current, replace(ending, exit_code=ending.exit_code or 1))

    def _pulse(self) -> bool:
        """Hear what was said, and show that all live. Return False if the process must end: the current one is over."""
        self._listen()
        now = time.monotonic()
        if self.left:
            current = self.left[0]
            limit = current.membership.limit_s if current.membership is not None else None
            self._too_late = limit is not None and now - self._current_since > limit
            if self._too_late or current.life.fenced():
                return False
        if now - self._beaten >= self.heartbeat_s:
            self._beaten = now
            for start in self.left:
                start.life.beat()
        return True

    def _listen(self) -> None:
        """Read what the process has said since, into the log of whom it concerns."""
        with self.said.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        lines = (self._rest + new).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            code = exit_code(line)
            if code is None:
                os.write(1, line + b"\n")
            elif self.left:
                self._one_has_ended(code)

    def _one_has_ended(self, code: int) -> None:
        start = self.left.pop(0)
        if code == 0:
            self._settle(start, child.Ending(0, warned=False, terminated=False, fenced=start.life.fenced()))
        else:
            self._told.append((start, code))
        self._current_since = time.monotonic()
        if self.left:
            self.left[0].began = time.time()
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
