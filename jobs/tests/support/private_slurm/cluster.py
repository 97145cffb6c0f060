"""The daemons of the private SLURM: start, stop, crash, and take down."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from snakemake_executor_plugin_submitit.allocation import processes

from .configuration import NODES, write_files
from .machine import listening

DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", *NODES)
MARK = "PRIVATE_SLURM"  # in the environment of every daemon, so that `down` finds what they left


class ClusterError(RuntimeError):
    """The private SLURM could not be started; the message says which part and shows its log."""


class Cluster:
    """The private SLURM whose files lie in `folder` (absolute; its sockets need a path < 90 letters)."""

    def __init__(self, folder: Path | str) -> None:
        self.dir = Path(folder).absolute()
        self.user = os.environ.get("USER") or subprocess.getoutput("id -un")
        if os.geteuid() == 0:
            self.user = "root"

    @property
    def env(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {"SLURM_CONF": str(self.dir / "slurm.conf")}

    def run(self, *command: str, timeout: float = 30, check: bool = True) -> str:
        """Run a SLURM client against this cluster; its standard output."""
        done = subprocess.run(
            command, env=os.environ | self.env, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    # ------------------------------------------------------------------ up

    def up(self) -> None:
        """Write the configuration, start every daemon, wait until both nodes are idle."""
        if self.dir.exists() and any(self.dir.iterdir()):
            raise ClusterError(f"{self.dir} is not empty; take that cluster down first")
        write_files(self.dir, self.user)
        try:
            for daemon in DAEMONS[:3]:
                self.start(daemon)
            self._register()
            for daemon in DAEMONS[3:]:
                self.start(daemon)
            self.wait_until("both nodes are idle", self.idle, 40)
        except BaseException:
            print(self.logs(), file=sys.stderr)
            self.down()
            raise

    def _register(self) -> None:
        """Tell accounting about the cluster and give this user two accounts."""
        add = ("sacctmgr", "--immediate", "add")
        self.wait_until("slurmdbd answers", lambda: self._succeeds("sacctmgr", "-n", "show", "cluster"), 40)
        self.run(*add, "cluster", "private")
        self.run(*add, "account", "lab,guests", "cluster=private")
        if self.user != "root":
            self.run(*add, "user", self.user, "account=lab,guests", "cluster=private")
        else:  # root exists in every SLURM database already
            self.run(*add, "user", "root", "account=lab", "cluster=private")
            self.run(*add, "user", "root", "account=guests", "cluster=private")
            self.run("sacctmgr", "--immediate", "modify", "user", "root", "set", "defaultaccount=lab")

    def idle(self) -> bool:
        """Whether both nodes are idle."""
        states = self.run("sinfo", "--noheader", "--Node", "--partition=low", "-o", "%T", check=False)
        return states.split() == ["idle", "idle"]

    def _succeeds(self, *command: str) -> bool:
        with contextlib.suppress(ClusterError, subprocess.TimeoutExpired):
            self.run(*command, timeout=10)
            return True
        return False

    def wait_until(self, what: str, true: Callable[[], bool], seconds: float) -> None:
        """Wait for something that `what` names; ClusterError if it does not come about."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise ClusterError(f"waited {seconds:.0f} s in vain until {what}")
            time.sleep(0.2)

    # ------------------------------------------------------------- daemons

    def _command(self, daemon: str) -> list[str]:
        at = str(self.dir)
        if daemon == "munged":
            files = [f"--{k}={at}/munge.{k.split('-')[0]}" for k in ("key-file", "pid-file", "seed-file")]
            return [
                "munged", "--foreground", "--force", f"--socket={at}/munge.socket",
                f"--log-file={at}/log/munged.log", *files,
            ]  # fmt: skip
        if daemon == "mariadbd":
            return [
                "mariadbd", "--no-defaults", f"--user={self.user}", f"--datadir={at}/database",
                f"--socket={at}/mariadb.socket", f"--pid-file={at}/mariadbd.pid", "--bind-address=127.0.0.1",
                f"--port={self.ports['mariadbd']}", "--skip-name-resolve", f"--init-file={at}/database.sql",
                "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0",
            ]  # fmt: skip
        if daemon == "slurmdbd":
            return ["slurmdbd", "-D"]
        if daemon == "slurmctld":
            return ["slurmctld", "-D", "-f", f"{at}/slurm.conf"]
        return ["slurmd", "-D", "-N", daemon, "-f", f"{at}/slurm.conf"]

    @property
    def ports(self) -> dict[str, int]:
        return json.loads((self.dir / "ports.json").read_text())

    def start(self, daemon: str) -> None:
        """Start one daemon in a session of its own and wait until it answers where that can be seen."""
        if daemon == "mariadbd" and not (self.dir / "database").exists():
            self._create_database()
        if self.pid(daemon) is not None:
            raise ClusterError(f"{daemon} already runs")
        with (self.dir / "log" / f"{daemon}.out").open("ab") as log:
            process = subprocess.Popen(
                self._command(daemon),
                env=os.environ | self.env | {MARK: str(self.dir)},
                cwd=self.dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.dir / "pid" / daemon).write_text(f"{process.pid} {processes.started(process.pid)}")
        ready = {
            "munged": lambda: (self.dir / "munge.socket").exists(),
            "mariadbd": lambda: listening(self.ports["mariadbd"]),
            "slurmdbd": lambda: listening(self.ports["slurmdbd"]),
            "slurmctld": lambda: "UP" in self.run("scontrol", "ping", check=False),
        }.get(daemon, lambda: True)
        self.wait_until(f"{daemon} is ready", lambda: process.poll() is not None or ready(), 40)
        if process.poll() is not None:
            raise ClusterError(f"{daemon} ended with status {process.returncode}")

    def _create_database(self) -> None:
        done = subprocess.run(
            [
                "mariadb-install-db", "--no-defaults", f"--user={self.user}",
                f"--datadir={self.dir}/database",
                "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ClusterError(f"mariadb-install-db: {done.stdout}{done.stderr}")

    def pid(self, daemon: str) -> int | None:
        """The daemon's process id while it runs."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, since = (self.dir / "pid" / daemon).read_text().split()
            if processes.started(int(pid)) == since:
                return int(pid)
        return None

    def stop(self, daemon: str, sig: int = signal.SIGTERM) -> None:
        """End one daemon; SIGKILL if `sig` does not end it within 15 s."""
        pid = self.pid(daemon)
        if pid is None:
            return
        for send, patience in ((sig, 15.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, send)
            end = time.monotonic() + patience
            while time.monotonic() < end:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                if self.pid(daemon) is None:
                    return
                time.sleep(0.05)

    def crash(self, node: str) -> None:
        """What a loss of power looks like from elsewhere: the node's daemon and all its jobs are gone at once."""
        slurmd = self.pid(node)
        if slurmd is not None:
            os.kill(slurmd, signal.SIGKILL)
        while jobs := self._jobs_on(node):  # again, for one may just have started another
            # The parents are slurmstepds, which would tell of their jobs' end.
            steps = {processes.parent(pid) for pid in jobs} - {None, 1, *jobs}
            for pid in (*steps, *jobs):
                with contextlib.suppress(ProcessLookupError, TypeError):
                    os.kill(pid, signal.SIGKILL)

    def _jobs_on(self, node: str) -> list[int]:
        mark = f"SLURMD_NODENAME={node}".encode()
        return [pid for pid in self.leftovers() if mark in processes.environment(pid)]

    # ---------------------------------------------------------------- down

    def down(self) -> None:
        """End the jobs, every daemon, and what they left behind; then delete the folder."""
        for daemon in (*NODES, "slurmctld", "slurmdbd", "mariadbd", "munged"):
            self.stop(daemon)
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def leftovers(self) -> list[int]:
        """Processes of this cluster: its daemons' children, and jobs that it started."""
        mark, conf = f"{MARK}={self.dir}".encode(), f"SLURM_CONF={self.dir}/slurm.conf".encode()
        found = []
        for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
            entries = processes.environment(pid)
            in_job = conf in entries and any(e.startswith(b"SLURM_JOB_ID=") for e in entries)
            if (mark in entries or in_job) and pid != os.getpid():
                found.append(pid)
        return found

    def logs(self, lines: int = 15) -> str:
        """The last lines of every log, for when something does not start."""
        tails = []
        for path in sorted((self.dir / "log").glob("*")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            tails.append("\n".join([f"== {path.name}", *tail]))
        return "\n".join(tails)
