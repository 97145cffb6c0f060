"""One sweep with events: its command is started again until it is through, then it is judged."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from private_slurm import Cluster
from private_slurm.sweep import PROFILE

from . import events, main_process, workload
from .judge import Case, Finding, judge, told_to_have_failed
from .stage import Stage

PACE_S = (0.2, 1.4)  # between two events
LONGEST_CALM_S = 240.0  # after the last event everything must be through by then
OPTIONS = [
    "--profile", str(PROFILE), "--latency-wait", "5", "--default-resources", "mem_mb=200", "runtime=10",
    "--retries", "0", "--submitit-poll-s", "1", "--submitit-heartbeat-s", "1",
    "--submitit-array-parallelism", "14",
]  # fmt: skip


class Round:
    """A sweep of `size` jobs to which at most `budget` events happen."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        draw: random.Random,
        size: int,
        budget: int,
        pack: int = 1,
        pace: float = 1.0,
        warm: bool = False,
    ) -> None:
        self.pace = pace  # the pauses between events are so much longer, for a slow machine
        self.jobs = workload.make_jobs(draw, size)
        workload.write(folder, self.jobs, warm)
        self.folder, self.draw, self.budget = folder, draw, budget
        self.stage = Stage(cluster, folder, draw, self.jobs, pack)
        self.rounds = 6 if warm else 2  # the longer its list, the more jobs has a warm process
        self.told: list[tuple[float, str]] = []
        self.findings: list[Finding] = []
        self._is_calm = False
        self._read = 0  # how much of the output was read
        self._told_before = 0  # when the main process was started

    # ------------------------------------------------------------- the sweep

    def run(self) -> list[Case]:
        """Run the sweep to its end, and return what is known of each job."""
        try:
            self._run()
        finally:
            self._clear()
        return self._cases()

    def _run(self) -> None:
        """Let events happen, and start the main process until the sweep is through."""
        through, next_event, start_at = False, time.monotonic() + 3, 0.0
        while not through:
            now = time.monotonic()
            self.stage.bring_back()
            self.stage.resume_nodes()
            if self.stage.process is None and now >= start_at:
                self._start()
            elif self.stage.process is not None and not self.stage.main_lives():
                through = self._ended()
                start_at = now + self.draw.choice((0.0, 0.5, 3.0))
            if self.budget > 0 and now >= next_event and not through:
                happened = events.happen(self.stage)
                self.budget -= happened
                next_event = time.monotonic() + (self.pace * self.draw.uniform(*PACE_S) if happened else 0.2)
            elif self.budget <= 0 and now > next_event:
                self._calm()
            if now > next_event + LONGEST_CALM_S:
                self._stuck()
                through = True
            self._listen()
            time.sleep(0.05)

    def _calm(self) -> None:
        self.stage.clients.forget()
        if self.stage.process is not None and not self._is_calm:
            self._is_calm = self.stage.client("scancel", "--name=preemptor") is not None

    def _start(self) -> None:
        path = f"{self.stage.clients.folder}/bin:{os.environ['PATH']}"
        self._told_before = len(self.told)
        self.stage.killed = False
        with (self.folder / "output.txt").open("ab") as log:
            self.stage.process = subprocess.Popen(
                [sys.executable, "-P", str(Path(main_process.__file__)), *OPTIONS, *self._packing()],
                cwd=self.folder,
                env=os.environ | self.stage.cluster.env | {"PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.stage.note(f"main process {self.stage.process.pid} started")

    def _packing(self) -> list[str]:
        if self.stage.pack == 1:
            return []
        return [
            "--submitit-pack", str(self.stage.pack), "--submitit-pack-rounds", str(self.rounds),
            "--submitit-pack-wait-s", "1",
            "--submitit-array-parallelism", "3",
        ]  # fmt: skip

    def _ended(self) -> bool:
        """Take note of the main process's end. Return whether the sweep is through."""
        self._listen()
        code = self.stage.process.returncode
        self.stage.process = None
        self.stage.note(f"main process ended: {code}")
        if code and not self.stage.killed and len(self.told) == self._told_before:
            self.findings.append(Finding("falsely failed", "main process", f"it ended with status {code}"))
        return code == 0

    def _listen(self) -> None:
        """Note when people are told that a job has failed."""
        with (self.folder / "output.txt").open("ab+") as file:
            file.seek(self._read)
            text = file.read().rpartition(b"\n")[0]
        self._read += len(text) + bool(text)
        for name in told_to_have_failed(text.decode(errors="replace")):
            self.told.append((time.time(), name))
            self.stage.note(f"told: {name} failed")

    def _stuck(self) -> None:
        self.stage.note("it does not come to an end")
        self.stage.note(self.stage.client("squeue", "--array") or "")
        self.stage.kill_main()

    def _clear(self) -> None:
        """Make the cluster whole and empty for the next sweep."""
        stage = self.stage
        stage.kill_main()
        stage.bring_back(everything=True)
        stage.clients.forget()
        stage.client("scancel", "--partition=low,cut,graced,high", f"--user={stage.cluster.user}")

    # ------------------------------------------------------------ the record

    def _cases(self) -> list[Case]:
        verdicts, harms = self._verdicts(), self.stage.harms + self.stage.ended_by_slurm()
        return [
            Case(
                name=name,
                expected=workload.result(name, job),
                result=path.read_text() if (path := self.folder / "out" / name).exists() else None,
                records=workload.records(self.folder, name),
                told=[when for when, who in self.told if who == name],
                verdicts=verdicts.get(name, []),
                harms=[harm for harm in harms if harm.name == name],
            )
            for name, job in self.jobs.items()
        ]

    def _verdicts(self) -> dict[str, list[dict[str, Any]]]:
        """Return the verdicts of failure, by job."""
        found: dict[str, list[dict[str, Any]]] = {}
        for batch in (self.folder / ".snakemake/submitit/batches").glob("*"):
            for path in batch.glob("verdicts/[0-9]*.json"):
                verdict = json.loads(path.read_text())
                if verdict["exit_code"] and not verdict.get("interrupted"):
                    label = json.loads((batch / "intent.json").read_text())["tasks"][int(path.stem)]["label"]
                    found.setdefault(label, []).append(verdict)
        return found

    def judged(self) -> tuple[list[Case], list[Finding]]:
        """Run the sweep and judge it."""
        cases = self.run()
        findings = self.findings + judge(cases)
        lines = [f"{finding.kind}: {finding.name}: {finding.what}" for finding in findings]
        (self.folder / "findings.txt").write_text("\n".join(lines))
        return cases, findings
