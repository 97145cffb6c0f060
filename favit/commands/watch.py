"""Show the progress of training, here or on a cluster: ``favit watch [WORDS]``; ``--once`` for scripts.

One screen, refreshed: how far each sweep is and when it should be done; each running run's epoch, scores, speed and
time left; what stopped; the queue of the cluster. It reads what runs write anyway, so that any shell that sees the
results will do. Without a terminal it is shown once.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from favit.commands.main import add_config, command_line, failed
from favit.results.selection import WORDS, sweeps_with
from favit.results.state import Results
from favit.sweeps.config import Config, ConfigError, load
from favit.sweeps.runs import Run, runs, unique
from favit.watching import queue, screen
from favit.watching.forecast import forecast
from favit.watching.runs import Progress, progress

_CLEAR = "\x1b[H\x1b[J"
_TAIL = 40  # lines of a command's output that are shown where it fails


class Watched:
    """The sweeps that are watched; each look judges the results on disk anew."""

    def __init__(self, config: Config, words: Sequence[str]) -> None:
        self._results = Results(config)
        asked = sweeps_with(config, words or list(config.sweeps))
        self._staged = {s.name: s for s, _ in asked if s.staged}
        self._runs = {s.name: [run for run in runs(config, s.name) if run.key in keys] for s, keys in asked}

    def look(self) -> dict[str, list[Progress]]:
        """Return the progress of each run, by sweep."""
        every: list[Run] = unique(run for found in self._runs.values() for run in found)
        found = {s.run.key: progress(s, self._results) for s in self._results.states(every)}
        looked = {}
        for name, in_sweep in self._runs.items():
            now = self._now(name, in_sweep)
            looked[name] = [found[run.key] for run in in_sweep if run.key in now]
        return looked

    def _now(self, name: str, in_sweep: Sequence[Run]) -> set[str]:
        """The keys of the runs that a sweep asks for now, where its results decide; else of all of them."""
        if name not in self._staged:
            return {run.key for run in in_sweep}
        from favit.analysis.asked import of_sweep  # numpy, for those who need it

        return {run.key for run in of_sweep(self._staged[name], self._results).runs}


def begun(looked: Mapping[str, list[Progress]]) -> dict[str, list[Progress]]:
    """The sweeps of which something is there, running or prepared."""
    return {name: found for name, found in looked.items() if any(run.standing != "missing" for run in found)}


def text(looked: Mapping[str, list[Progress]], width: int, height: int | None = None) -> str:
    """The screen, at most ``height`` lines high; one line where there is nothing to show."""
    shown = "\n".join(screen.lines(looked, queue.lines(), width, time.time(), height))
    return shown or "no sweep has started; start one with snakemake SWEEP, or name one: favit watch SWEEP"


def beside(command: str, watched: Watched, every: float, log: Path) -> int:
    """Run a command and show how far the sweeps are until it ends; returns its status.

    What it says goes to ``log``. Of that, the end is shown where it failed, and that there was nothing to be done.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"--beside {command!r}: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise ConfigError(f"--beside {command!r}: no such command")
    log.parent.mkdir(parents=True, exist_ok=True)
    shown, terminal = "", sys.stdout.isatty()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                try:
                    line = _one_line(watched.look())
                except OSError as error:  # the command goes on, and the next look may succeed
                    line = failed(error)
                if terminal:
                    line = line[: shutil.get_terminal_size().columns - 1]
                # Without a terminal a line stays: one for each change, not for each second that is less.
                if terminal or line.partition(";")[0] != shown.partition(";")[0]:
                    print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", flush=True)
                    shown = line
                _wait(process, every)
        except KeyboardInterrupt:
            process.wait()  # it has heard the same and ends by itself
    if terminal and shown:
        print()
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if process.returncode == 0:
        for line in said:
            if line.startswith("Nothing to be done"):
                print(line)
    else:
        print("\n".join(said[-_TAIL:]), file=sys.stderr)
        print(
            f"{words[0]} exited with status {process.returncode}; its output is in {log}",
            file=sys.stderr,
        )
    return process.returncode


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _one_line(looked: Mapping[str, list[Progress]]) -> str:
    """All sweeps together, and what runs now."""
    every = list({run.run.key: run for found in looked.values() for run in found}.values())
    now = ", ".join(
        f"{run.run['model']}.{run.run['aggregator']} epoch {min(run.epoch + 1, run.epochs)}/{run.epochs}"
        for run in every
        if run.standing == "running"
    )
    return screen.summary(forecast(every), time.time()) + (f"  ({now})" if now else "")


def main(arguments: Sequence[str]) -> int:
    """Show it until Ctrl-C, or until all that is watched is done."""
    parser = command_line("watch", __doc__)
    parser.add_argument("words", nargs="*", help=f"{WORDS} (default: all sweeps that have started)")
    add_config(parser)
    parser.add_argument("--once", action="store_true", help="print once and exit")
    parser.add_argument(
        "--every", type=_seconds, default=5.0, help="seconds between updates (default: %(default)s)"
    )
    parser.add_argument(
        "--beside",
        metavar="COMMAND",
        help="run a command, show the progress in one line, and exit with its status",
    )
    options = parser.parse_args(arguments)
    config = load(options.config)
    watched = Watched(config, options.words)
    if options.beside is not None:
        return beside(options.beside, watched, options.every, config.results / ".cache" / "beside.log")
    if options.once or not sys.stdout.isatty():
        width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 1000
        print(text(_looked(watched, options.words), width))
        return 0
    try:
        while True:
            looked, shown = {}, ""
            try:
                looked = _looked(watched, options.words)
            except OSError as error:  # of a file server, for a while
                shown = f"{failed(error)}; trying again"
            size = shutil.get_terminal_size((100, 24))
            print(_CLEAR + (shown or text(looked, size.columns, size.lines)), flush=True)
            if looked and all(run.done for found in looked.values() for run in found):
                return 0
            time.sleep(options.every)
    except KeyboardInterrupt:
        print()
        return 0


def _looked(watched: Watched, words: Sequence[str]) -> dict[str, list[Progress]]:
    return watched.look() if words else begun(watched.look())


def _seconds(text: str) -> float:
    """A number of seconds above 0 that a process can sleep."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")
    return value
