"""A workflow in a folder of its own, run by a main process that a test can interrupt or kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).parents[3] / "profile"

# Leaves a line for each time that it runs to its end; at a signal it saves how far it is and exits 4.
TRAINER = """\
import os, signal, sys, time
name, steps, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
told = []
for number in (signal.SIGUSR2, signal.SIGTERM):
    signal.signal(number, lambda n, frame: told.append(signal.Signals(n).name))
save = f"state/{name}"
os.makedirs("state", exist_ok=True)
step = int(open(save).read()) if os.path.exists(save) else 0
say = lambda word: open(f"state/{name}.events", "a").write(f"{word} {step} {os.environ.get('SLURM_JOB_ID')}\\n")
say("start")
while step < steps and not told and not os.path.exists("finish"):
    time.sleep(pause)
    step += 1
open(save + ".new", "w").write(str(step))
os.replace(save + ".new", save)
if told:
    say(told[0])
    sys.exit(4)
say("done")
open(f"out/{name}.txt", "w").write("done")
"""


class Sweep:
    """One folder with a Snakefile. `run` waits for its end, `start` does not."""

    def __init__(self, folder: Path, cluster: Any, snakefile: str, options: Sequence[str] = ()) -> None:
        self.folder, self.cluster, self.options = folder, cluster, list(options)
        folder.mkdir(parents=True)
        (folder / "Snakefile").write_text(snakefile)
        (folder / "trainer.py").write_text(TRAINER)
        self.output = folder / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.path = os.environ["PATH"]

    @property
    def env(self) -> dict[str, str]:
        return os.environ | self.cluster.env | {"PATH": self.path}

    def command(self, *options: str) -> list[str]:
        base = [sys.executable, "-m", "snakemake", "--profile", str(PROFILE)]
        quick = ["--latency-wait", "5", "--default-resources", "mem_mb=200", "runtime=5"]
        return [*base, *quick, "--retries", "0", *self.options, *options]

    def start(self, *options: str) -> None:
        """Start the main process in a session of its own, its output going to `output`."""
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(*options),
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, timeout: float = 120) -> int:
        assert self.process is not None
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout} s:\n{self.text()}") from None

    def run(self, *options: str, timeout: float = 120) -> int:
        """Start and wait; the exit status."""
        self.start(*options)
        return self.wait(timeout)

    def succeed(self, *options: str, timeout: float = 120) -> None:
        assert self.run(*options, timeout=timeout) == 0, self.text()

    def kill(self) -> None:
        """`kill -9` of the main process alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)

    def text(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def until(self, what: str, true: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait for something to become true; its value."""
        end = time.monotonic() + seconds
        while not (value := true()):
            assert time.monotonic() < end, f"waited {seconds} s in vain until {what}\n{self.text()}"
            time.sleep(0.1)
        return value

    def events(self, name: str) -> list[str]:
        """What the trainer wrote about its runs."""
        path = self.folder / "state" / f"{name}.events"
        return path.read_text().splitlines() if path.exists() else []

    def queue(self, columns: str = "%F %K %T %P %j") -> list[list[str]]:
        """This folder's jobs that SLURM still has in its queue."""
        lines = self.cluster.run("squeue", "--array", "--noheader", "-o", f"{columns}|%o").splitlines()
        rows = [line.split("|", 1) for line in lines]
        return [row[0].split() for row in rows if str(self.folder) in row[1]]

    def batches(self) -> list[Path]:
        return sorted((self.folder / ".snakemake/submitit/batches").glob("*"))

    def arrays(self) -> list[str]:
        """The ids of all arrays that this folder's sweeps submitted."""
        found = []
        for batch in self.batches():
            with contextlib.suppress(FileNotFoundError):
                found += [line.split()[0] for line in (batch / "arrays").read_text().splitlines()]
        return found

    def verdicts(self) -> list[dict[str, Any]]:
        return [
            json.loads(path.read_text()) for b in self.batches() for path in b.glob("verdicts/[0-9]*.json")
        ]

    def metadata(self, output: str) -> dict[str, Any] | None:
        """Snakemake's provenance record of an output."""
        from base64 import urlsafe_b64encode

        path = self.folder / ".snakemake/metadata" / urlsafe_b64encode(output.encode()).decode()
        return json.loads(path.read_text()) if path.exists() else None

    def incomplete(self) -> list[Path]:
        return [p for p in (self.folder / ".snakemake/incomplete").rglob("*") if p.is_file()]

    def clean_up(self) -> None:
        """End what a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        with contextlib.suppress(Exception):
            if ids := sorted({row[0] for row in self.queue()}):
                self.cluster.run("scancel", *ids, check=False)
