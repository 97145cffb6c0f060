"""A way to run small workflows with the executor, and a SLURM that is only a few lines of Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FAKE = Path(__file__).with_name("fake_slurm.py")


class Workflow:
    """A Snakefile in a folder, run by `snakemake --executor submitit`."""

    def __init__(self, folder: Path, snakefile: str, cluster: str, env: dict[str, str]) -> None:
        self.folder, self.cluster, self.env = folder, cluster, env
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Snakefile").write_text(snakefile)

    def command(self, *options: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", "--executor", "submitit", "--submitit-cluster", self.cluster,
            "--jobs", "50", "--nolock", "--rerun-incomplete", "--latency-wait", "2", "--keep-going", *options,
        ]  # fmt: skip

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start it and go on."""
        out = (self.folder / "output").open("ab")
        return subprocess.Popen(
            self.command(*options), cwd=self.folder, env=os.environ | self.env, stdout=out, stderr=out
        )

    def until(self, true: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, (self.folder / "output").read_text()
            time.sleep(0.1)

    def run(self, *options: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options),
            cwd=self.folder,
            env=os.environ | self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def succeed(self, *options: str, timeout: float = 60) -> str:
        done = self.run(*options, timeout=timeout)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def fail(self, *options: str) -> str:
        done = self.run(*options)
        assert done.returncode == 1, done.stdout
        return done.stdout

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def tasks(self) -> list[dict[str, Any]]:
        """Every task of every batch, as submitted."""
        intents = self.folder.glob(".snakemake/submitit/batches/*/intent.json")
        return [task for path in sorted(intents) for task in json.loads(path.read_text())["tasks"]]


class FakeSlurm:
    """sbatch, squeue, scancel, scontrol and sacct on PATH that run tasks on this machine.

    `behave(sbatch=...)` makes the next calls go wrong; `calls` lists what was called.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tools = folder / "bin"
        tools.mkdir(parents=True)
        for name in ("sbatch", "squeue", "scancel", "scontrol", "sacct", "sinfo", "sacctmgr"):
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {FAKE} {folder} {name} "$@"\n')
            tool.chmod(0o755)
        self.env = {"PATH": f"{tools}:{os.environ['PATH']}"}

    def behave(self, **wrong: list[str]) -> None:
        """For each tool what its next calls do instead of succeeding (see fake_slurm.py)."""
        for tool, ways in wrong.items():
            (self.folder / f"{tool}.wrong").write_text("\n".join(ways))

    def limit(self, jobs: int, words: str, told: bool = True) -> None:
        """Allow so many tasks in the queue, refuse more in these words, and tell the limit or not."""
        (self.folder / "limit").write_text(f"{jobs} {words}")
        if told:
            (self.folder / "tells_limit").touch()

    def remove(self, tool: str) -> None:
        (self.folder / "bin" / tool).unlink()

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def fake_slurm(tmp_path: Path) -> FakeSlurm:
    return FakeSlurm(tmp_path / "slurm")


@pytest.fixture
def local(tmp_path: Path) -> Callable[[str], Workflow]:
    """`local(snakefile)`: a workflow on the local cluster."""
    return lambda snakefile: Workflow(tmp_path / "work", snakefile, "local", {})


@pytest.fixture
def on_fake_slurm(tmp_path: Path, fake_slurm: FakeSlurm) -> Callable[[str], Workflow]:
    return lambda snakefile: Workflow(tmp_path / "work", snakefile, "slurm", fake_slurm.env)


@pytest.fixture(autouse=True)
def heard_interrupts() -> Iterator[None]:
    """Ctrl-C reaches what the tests start, also where they run in a shell's background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
