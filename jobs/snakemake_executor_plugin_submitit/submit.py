"""Leave the login node: `python -m snakemake_executor_plugin_submitit submit -- --profile slurm TARGET`.

Snakemake itself becomes a small job, which adopts what runs whenever it starts anew.
"""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .allocation.clients import NoAnswer, call
from .allocation.files import read_json, write_json
from .clusters.base import ENDS
from .clusters.sbatch import sbatch
from .clusters.slurm import Row, SlurmCluster, queue
from .fits import profile_requests
from .journal import Batch, Journal
from .lease import holder_alive
from .main_job import MainFolder
from .settings import ExecutorSettings

PROGRAM = "python -m snakemake_executor_plugin_submitit"
WARNING_S = 120  # before the time limit, when it goes back to the queue
STOP_PATIENCE_S = 120.0
LEASE_S = ExecutorSettings.lease_s


class NotSubmitted(Exception):
    """Snakemake was not submitted; the message says why and what to do."""


@dataclass(frozen=True)
class Request:
    """What the main job itself asks for; None is SLURM's default."""

    partition: str | None = None
    account: str | None = None
    minutes: int | None = None
    memory_mb: int = 2000


class MainJobs:
    """The submissions of Snakemake from one folder, oldest first."""

    def __init__(self, folder: Path) -> None:
        self.root = folder.absolute() / "main"

    def folders(self) -> list[MainFolder]:
        numbered = [path for path in self.root.glob("*") if path.name.isdigit()]
        return [MainFolder(path) for path in sorted(numbered, key=lambda path: int(path.name))]

    def live(self) -> tuple[MainFolder, Row] | None:
        """Return the submission that SLURM still has in its queue. Raises NoAnswer."""
        scripts = {str(folder.script): folder for folder in self.folders()}
        jobs = {folder.job_id(): folder for folder in scripts.values()} if scripts else {}
        for row in queue() if scripts else []:
            folder = scripts.get(row.command.strip()) or jobs.get(row.array)
            if folder is not None and row.state not in ENDS:
                return folder, row
        return None

    def create(self) -> MainFolder:
        """Make the folder of a new submission, which two callers at once cannot both."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = max((int(folder.path.name) for folder in self.folders()), default=0) + 1
        path = self.root / str(number)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            raise NotSubmitted("Another process is submitting Snakemake from here right now.") from None
        return MainFolder(path)

    def line(self) -> str:
        """Return what `status` says about Snakemake itself, empty if it was never submitted. Raises NoAnswer."""
        folders = self.folders()
        if not folders:
            return ""
        if (found := self.live()) is not None:
            folder, row = found
            where = f" on {row.node}" if row.node else f" ({row.reason})"
            return f"Snakemake itself: job {row.array} is {row.state.lower()}{where}; log {folder.log}"
        last = folders[-1]
        why = read_json(last.ended) or "no longer in the queue"
        return f"Snakemake itself: job {last.job_id() or '?'}: {why}; log {last.log}"


def submit(folder: Path, arguments: Sequence[str], request: Request) -> str:
    """Submit Snakemake with these arguments as a job and return what to print. Raises NotSubmitted and NoAnswer."""
    jobs = MainJobs(folder)
    if (found := jobs.live()) is not None:
        raise NotSubmitted(f"Snakemake already runs from here as job {found[1].array}. {how_to_go_on()}")
    if holder := holder_alive(folder / "lease.json", LEASE_S):
        raise NotSubmitted(holder)
    asked = wanted(arguments)
    partition = request.partition or next(iter(asked["partitions"]), None)
    command = shlex.join(["snakemake", *arguments])
    if why := only_from(asked["partitions"], partition):
        raise NotSubmitted(
            f"{why}, so a job cannot submit jobs: run `{command}` there itself, in tmux or with nohup."
        )
    main = jobs.create()
    probe = [f"--{name}={value}" for name, value in asked["probe"].items()]
    write_json(
        main.request,
        {
            "arguments": list(arguments),
            "command": command,
            "probe": [*probe, "--time=1", "--wrap=true"],
        },
    )
    main.script.write_text(script(main, request, partition, asked["account"]))
    try:
        job = sbatch(main.script)
    except NoAnswer as refusal:
        write_json(main.ended, f"not submitted: {str(refusal).splitlines()[-1]}")
        raise NotSubmitted(f"SLURM refused the job for Snakemake: {refusal}") from None
    main.job.write_text(job)
    return f"Submitted Snakemake as job {job}; its log is {main.log}.\n{how_to_go_on()}"


def how_to_go_on() -> str:
    """Return the two commands for a main job."""
    return f"Follow it: {PROGRAM} status --follow\nStop it and its jobs: {PROGRAM} submit --stop"


def script(main: MainFolder, request: Request, partition: str | None, account: str | None) -> str:
    """Return the sbatch file of the main job."""
    log = str(main.log).replace("%", "%%")
    options = {
        "job-name": "snakemake",
        "output": log,
        "error": log,
        "open-mode": "append",
        "ntasks": "1",
        "cpus-per-task": "1",
        "mem": f"{request.memory_mb}M",
        "signal": f"B:USR2@{WARNING_S}",
        "partition": partition,
        "account": request.account or account,
        "time": request.minutes,
    }
    lines = [
        f"#SBATCH --{name}={shlex.quote(str(value))}" for name, value in options.items() if value is not None
    ]
    start = [sys.executable, "-m", f"{__package__}.main_job", str(main.path)]
    here = f"cd {shlex.quote(str(Path.cwd()))} || exit 1"
    return "\n".join(["#!/bin/bash", *lines, "#SBATCH --requeue", here, f"exec {shlex.join(start)}", ""])


def wanted(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the partitions and the account that jobs of these arguments ask for, as far as the profile tells."""
    given = {}
    for name in ("--profile", "--workflow-profile", "--submitit-partition", "--submitit-account"):
        for place, word in enumerate(arguments):
            if word == name and place + 1 < len(arguments):
                given[name] = arguments[place + 1]
            elif word.startswith(f"{name}="):
                given[name] = word.partition("=")[2]
    profile = given.get("--profile") or given.get("--workflow-profile")
    asked = profile_requests(Path(profile)) if profile and Path(profile).is_dir() else {}
    default = asked.get("by default", {})
    named = [
        given.get("--submitit-partition"),
        *(str(parameters.get("partition") or "") for parameters in asked.values()),
    ]
    partitions = list(dict.fromkeys(part for name in named if name for part in name.split(",")))
    account = given.get("--submitit-account") or default.get("account")
    probe = {"partition": ",".join(partitions[:1]) or None, "account": account, "qos": default.get("qos")}
    return {
        "partitions": partitions,
        "account": account,
        "probe": {name: value for name, value in probe.items() if value},
    }


def only_from(partitions: Sequence[str], main: str | None) -> str:
    """Say which partition takes no jobs from the nodes that the main job may run on, empty if all do.

    Raises NoAnswer.
    """
    shown = call("scontrol", "show", "partition", "--oneliner", timeout=60)
    all_of = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.splitlines()]
    known = {partition["PartitionName"]: partition for partition in all_of if "PartitionName" in partition}
    default = [name for name, partition in known.items() if partition.get("Default") == "YES"]
    runs_in = known.get(main or next(iter(default), ""), {})
    for name in partitions or default:
        allowed = known.get(name, {}).get("AllocNodes", "ALL")
        if allowed != "ALL" and not hosts(runs_in.get("Nodes", "")) <= hosts(allowed):
            return f"Partition {name} takes jobs only from {allowed}"
    return ""


def hosts(listed: str) -> set[str]:
    """Return the names in a list such as node[1-4]. Raises NoAnswer."""
    if not listed or listed == "(null)":
        return set()
    return set(call("scontrol", "show", "hostnames", listed, timeout=60).split())


def stop(folder: Path) -> str:
    """End the submitted Snakemake and cancel its jobs; return what to print. Raises NoAnswer."""
    jobs = MainJobs(folder)
    if not jobs.folders():
        return "No Snakemake job was submitted from here."
    for main in jobs.folders():
        main.stop.touch()  # it does not begin again
    if (found := jobs.live()) is not None:
        job = found[1].array
        if found[1].state == "RUNNING":
            call("scancel", "--batch", "--signal=INT", job, timeout=60)
            end = time.monotonic() + STOP_PATIENCE_S
            while jobs.live() is not None and time.monotonic() < end:
                time.sleep(5)
        if jobs.live() is not None:
            call("scancel", job, timeout=60)
    cancelled = cancel_open(folder)
    more = f" and cancelled {cancelled} jobs that it had left" if cancelled else ""
    return f"Stopped Snakemake{more}."


def cancel_open(folder: Path) -> int:
    """Cancel every job that is submitted from the folder and not over. Return how many. Raises NoAnswer."""
    opened: list[tuple[Batch, int]] = [
        (batch, index)
        for batch, index in Journal(folder).open_tasks().values()
        if batch.cluster == "slurm" and batch.verdict(index) is None and not batch.fenced(index)
    ]
    batches = {batch.token: batch for batch, _ in opened}
    cluster = SlurmCluster(ExecutorSettings())
    states = cluster.states(batches.values())
    live = [entry for entry in opened if (s := states.get((entry[0].token, entry[1]))) is not None and s.live]
    cluster.cancel({array for batch, _ in live for array in batch.arrays()})
    for batch, index in live:
        batch.end(index)
    return len(live)
