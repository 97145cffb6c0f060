"""Where a campaign takes place: the cluster, the sweep's folder, what is down at the moment, what was done to whom."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from private_slurm import Cluster, ClusterError
from snakemake_executor_plugin_submitit.allocation import processes

from . import workload
from .clients import Clients
from .judge import Harm

CUT = "PartitionName=cut PriorityTier=1 PreemptMode=CANCEL\n"  # its preempted jobs do not come back
QUICKER = {"KillWait=10": "KillWait=5", "SlurmdTimeout=10": "SlurmdTimeout=8"}
ENDED = re.compile(r"\[(\S+)\] (?:preempted|Requeuing|.*[Rr]equeue) JobId=(\d+_\d+)\(")
STARTED = re.compile(r"(?:Allocate|Started) JobId=(\d+_\d+)\((\d+)\)")
ORPHAN = re.compile(r"\[(\S+)\] error: Orphan StepId=(\d+)\.batch reported")


def ended_starts(log: str) -> list[tuple[str, float]]:
    """Return which tasks' starts the controller has ended, and when, from its log."""
    found, tasks = [], dict[str, str]()  # job id -> task
    for line in log.splitlines():
        if started := STARTED.search(line):
            tasks[started.group(2)] = started.group(1)
        if ended := ENDED.match(line) or ORPHAN.match(line):
            task = tasks.get(ended.group(2), ended.group(2))
            found.append((task, datetime.fromisoformat(ended.group(1)).timestamp()))
    return found


@contextlib.contextmanager
def arranged(cluster: Cluster) -> Iterator[None]:
    """Give the cluster a partition of PreemptMode=CANCEL and shorter waits, as long as the campaign lasts."""
    configuration = cluster.dir / "slurm.conf"
    before = configuration.read_text()
    text = before + CUT
    for slow, quick in QUICKER.items():
        assert slow in text, f"slurm.conf has no {slow}"
        text = text.replace(slow, quick)
    configuration.write_text(text)
    cluster.run("scontrol", "reconfigure")
    try:
        yield
    finally:
        configuration.write_text(before)
        cluster.run("scontrol", "reconfigure")


@dataclass(frozen=True)
class Living:
    """A job that runs: its process and where it is."""

    name: str
    pid: int
    task: str  # ARRAY_INDEX
    node: str


class Stage:
    """One sweep's surroundings. Events act on it; the round reads from it."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        draw: random.Random,
        jobs: dict[str, workload.Job],
        pack: int = 1,
    ) -> None:
        self.pack = pack  # so many jobs share an allocation
        self.cluster, self.folder, self.draw, self.jobs = cluster, folder, draw, jobs
        self.clients = Clients(folder / "clients")
        self.process: subprocess.Popen[bytes] | None = None
        self.killed = False  # the main process, by us
        self.began = time.time()  # array ids may come again from one sweep to the next
        self.harms: list[Harm] = []
        self.events: Counter[str] = Counter()
        self._look_at_nodes = 0.0
        self._back: dict[str, float] = {}  # daemon -> when it is brought back

    # ------------------------------------------------------------ what runs

    def living(self) -> list[Living]:
        """Return the jobs whose processes run at this moment."""
        found = []
        for name in self.jobs:
            records = workload.records(self.folder, name)
            if records and records[-1]["word"] == "start":
                last = records[-1]
                command = b"\0".join(processes.arguments(last["pid"]))
                if any(f"job.py\0{word}\0".encode() in command for word in (name, "--lines")):
                    found.append(Living(name, last["pid"], last["task"], last["node"]))
        return found

    def sharers(self, job: Living) -> list[Living]:
        """Return the jobs that run in the same allocation, this one among them."""
        return [job, *(one for one in self.living() if one.task == job.task and one.name != job.name)]

    def arrays(self) -> list[str]:
        """Return the arrays that this sweep has submitted and knows of."""
        files = (self.folder / ".snakemake/submitit/batches").glob("*/arrays")
        return [line.split()[0] for path in sorted(files) for line in path.read_text().splitlines()]

    # --------------------------------------------------------- what is done

    def harm(self, job: Living, what: str, lasting: bool) -> None:
        """Remember what is about to be done to a job."""
        self.harms.append(Harm(job.name, time.time(), what, lasting))

    def note(self, text: str) -> None:
        """Keep a line for people who look into what happened."""
        with (self.folder / "notes.txt").open("a") as file:
            print(f"{time.time():.1f} {text}", file=file)

    def cancel_by_name(self, job: Living) -> bool:
        """Cancel a job as people do that shares its allocation."""
        command = [sys.executable, "-m", "snakemake_executor_plugin_submitit", "cancel", job.name]
        env = os.environ | self.cluster.env
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=90, check=False
        )
        self.note(f"cancel {job.name}: {done.stdout.strip()} {done.stderr.strip()[-200:]}")
        return done.returncode == 0

    def client(self, *command: str) -> str | None:
        """Call a real client; None if it fails, as it may while daemons are down."""
        try:
            return self.cluster.run(*command, timeout=8)
        except (ClusterError, subprocess.TimeoutExpired) as error:
            self.note(f"{' '.join(command)}: {error}")
            return None

    def ended_by_slurm(self) -> list[Harm]:
        """Return the starts that SLURM has ended, as the controller's log has them.

        By preemption or requeue; or because it has forgotten them, as it was killed before it had saved their start.
        """
        named: dict[str, set[str]] = {}
        for name in self.jobs:
            for record in workload.records(self.folder, name):
                named.setdefault(record["task"], set()).add(name)
        log = (self.cluster.dir / "log/slurmctld.log").read_text(errors="replace")
        return [
            Harm(name, when, "SLURM ended its start", lasting=False)
            for task, when in ended_starts(log)
            for name in sorted(named.get(task, ()))
            if when >= self.began
        ]

    # ---------------------------------------------------------- what is down

    def down(self, daemon: str) -> bool:
        return daemon in self._back

    def take_down(self, daemon: str, end: Callable[[], Any], seconds: float) -> None:
        """End a daemon, and have it brought back after so many seconds."""
        end()
        self._back[daemon] = time.monotonic() + seconds
        self.note(f"{daemon} is down for {seconds:.1f} s")

    def bring_back(self, everything: bool = False) -> None:
        """Start what is due again."""
        for daemon, due in list(self._back.items()):
            if everything or due <= time.monotonic():
                try:
                    self.cluster.start(daemon)
                except (ClusterError, subprocess.TimeoutExpired) as error:
                    if self.cluster.pid(daemon) is None:
                        self.note(f"{daemon} does not start yet: {error}")
                        continue
                del self._back[daemon]
                self.note(f"{daemon} is back")

    def resume_nodes(self) -> None:
        """Do what an administrator does about nodes that SLURM drains, for a job id that came twice for example."""
        if self.down("slurmctld") or time.monotonic() < self._look_at_nodes:
            return
        self._look_at_nodes = time.monotonic() + 5
        for line in (
            self.client("sinfo", "--noheader", "--Node", "-p", "low", "-o", "%N %T") or ""
        ).splitlines():
            node, state = line.split()
            if state.startswith("drain"):
                self.client("scontrol", "update", f"NodeName={node}", "State=RESUME")
                self.note(f"{node} was drained and is resumed")

    def kill_main(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.killed = True
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def main_lives(self) -> bool:
        return self.process is not None and self.process.poll() is None
