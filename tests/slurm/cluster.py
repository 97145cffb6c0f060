#!/usr/bin/env python3
"""A private two-node SLURM on one machine, for tests; nothing of it touches the machine's own.

    tests/slurm/cluster.py up DIR [--install]     start it, with accounting, fake GPUs, three partitions
    eval "$(tests/slurm/cluster.py env DIR)"      point this shell's sbatch, squeue ... at it
    tests/slurm/cluster.py stop|start DIR DAEMON  take one daemon away, or bring it back
    tests/slurm/cluster.py down DIR               end every process of it and delete DIR

Everything (configuration, keys, state, sockets, database, logs) lives in DIR, ports are free ones
bound to loopback, and each daemon runs without systemd. Partitions: `low` (default, preempted by
requeue with SIGTERM only), `graced` (preempted after a grace time, so that SIGUSR2 comes first) and
`high`, which preempts both. Nodes claim more CPUs than the machine has; GPUs are
devices that swallow everything.

Needs Debian's slurmctld slurmd slurm-client slurmdbd munge mariadb-server; `--install` fetches them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ["slurmctld", "slurmd", "slurm-client", "slurmdbd", "munge", "mariadb-server"]
PROGRAMS = ["slurmctld", "slurmd", "slurmdbd", "sbatch", "munged", "mariadbd", "mariadb-install-db"]
NODES = ("node1", "node2")
DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", *NODES)
MARK = "PRIVATE_SLURM"  # in the environment of every daemon, so that `down` finds what they left

SLURM_CONF = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[slurmctld]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool.%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.%n.pid
SlurmctldLogFile={dir}/log/slurmctld.log
SlurmdLogFile={dir}/log/%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[slurmdbd]}
AccountingStoragePass={dir}/munge.socket
AccountingStorageEnforce=associations,limits
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
SlurmdTimeout=10
SlurmctldTimeout=20
ReturnToService=2
KillWait=10
MaxArraySize=101
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node1]} CPUs=32 RealMemory=32000 Gres=gpu:2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node2]} CPUs=32 RealMemory=32000 Gres=gpu:2
PartitionName=DEFAULT Nodes=node[1-2] MaxTime=1-00:00:00 DefaultTime=10 State=UP
PartitionName=low Default=YES PriorityTier=1
PartitionName=graced PriorityTier=1 GraceTime=20
PartitionName=high PriorityTier=10 PreemptMode=off
"""

GRES_CONF = "NodeName=node[1-2] Name=gpu File={dir}/gpu[0-1]\n"

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[slurmdbd]}
SlurmUser={user}
PidFile={dir}/slurmdbd.pid
LogFile={dir}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[mariadbd]}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct
"""

DATABASE_SQL = """\
CREATE DATABASE IF NOT EXISTS slurm_acct;
CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}';
GRANT ALL ON slurm_acct.* TO 'slurm'@'127.0.0.1';
"""


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
        self._write_files()
        try:
            for daemon in DAEMONS[:3]:
                self.start(daemon)
            self._register()
            for daemon in DAEMONS[3:]:
                self.start(daemon)
            self._wait("both nodes are idle", self.idle, 40)
        except BaseException:
            print(self.logs(), file=sys.stderr)
            self.down()
            raise

    def _write_files(self) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)  # munged refuses a socket in a folder that others cannot reach
        for name in ("log", "state", "pid", *(f"spool.{node}" for node in NODES)):
            (self.dir / name).mkdir()
        for gpu in (self.dir / "gpu0", self.dir / "gpu1"):
            try:  # SLURM sets CUDA_VISIBLE_DEVICES only for devices: another /dev/null will do
                os.mknod(gpu, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            except PermissionError:
                gpu.touch()
        values = {
            "dir": self.dir,
            "user": self.user,
            "host": socket.gethostname().split(".")[0],
            "ports": free_ports("mariadbd", "slurmdbd", "slurmctld", *NODES),
            "password": secrets.token_hex(16),
        }
        (self.dir / "ports.json").write_text(json.dumps(values["ports"]))
        self._secret("munge.key", secrets.token_bytes(128))
        self._secret("slurmdbd.conf", SLURMDBD_CONF.format(**values).encode())
        self._secret("database.sql", DATABASE_SQL.format(**values).encode())
        (self.dir / "slurm.conf").write_text(SLURM_CONF.format(**values))
        (self.dir / "gres.conf").write_text(GRES_CONF.format(**values))

    def _secret(self, name: str, content: bytes) -> None:
        path = self.dir / name
        path.touch(mode=0o600)
        path.write_bytes(content)

    def _register(self) -> None:
        """Tell accounting about the cluster and give this user two accounts."""
        add = ("sacctmgr", "--immediate", "add")
        self._wait("slurmdbd answers", lambda: self._succeeds("sacctmgr", "-n", "show", "cluster"), 40)
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

    def _wait(self, what: str, true: Callable[[], bool], seconds: float) -> None:
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
        (self.dir / "pid" / daemon).write_text(f"{process.pid} {started(process.pid)}")
        ready = {
            "munged": lambda: (self.dir / "munge.socket").exists(),
            "mariadbd": lambda: listening(self.ports["mariadbd"]),
            "slurmdbd": lambda: listening(self.ports["slurmdbd"]),
            "slurmctld": lambda: "UP" in self.run("scontrol", "ping", check=False),
        }.get(daemon, lambda: True)
        self._wait(f"{daemon} is ready", lambda: process.poll() is not None or ready(), 40)
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
            if started(int(pid)) == since:
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
        jobs = [pid for pid in self.leftovers() if f"SLURMD_NODENAME={node}".encode() in environment(pid)]
        steps = {parent(pid) for pid in jobs} - {
            None,
            1,
            *jobs,
        }  # each a slurmstepd, which would tell of its end
        for pid in (self.pid(node), *steps, *jobs):
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(pid, signal.SIGKILL)

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
            entries = environment(pid)
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


def started(pid: int) -> str | None:
    """When a process started (clock ticks since boot), None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def environment(pid: int) -> list[bytes]:
    """A process's variables as it was started with them, NAME=VALUE; none if it is gone or not ours to see."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def parent(pid: int) -> int | None:
    """The process that started it or, where that is gone, took it on."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def listening(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(*names: str) -> dict[str, int]:
    """A free loopback port for each name."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return {name: s.getsockname()[1] for name, s in zip(names, sockets, strict=True)}


def missing_programs() -> list[str]:
    """The programs that are not on PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [program for program in PROGRAMS if shutil.which(program, path=path) is None]


def another_answers() -> bool:
    """Whether a SLURM that is not one of ours answers from here."""
    if shutil.which("scontrol") is None:
        return False
    try:
        ping = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return ping.returncode == 0 and "UP" in ping.stdout


def install() -> None:
    """Fetch the Debian packages and keep their services from starting (needs root)."""
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        subprocess.run(["apt-get", "-q", "update"], env=quiet, check=True)
        command = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *PACKAGES]
        subprocess.run(command, env=quiet, check=True)
    finally:
        if ours:
            policy.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["up", "down", "env", "start", "stop", "ping"])
    parser.add_argument("dir", type=Path)
    parser.add_argument("daemon", nargs="?", choices=DAEMONS)
    parser.add_argument("--install", action="store_true", help="fetch missing Debian packages first")
    options = parser.parse_args()
    cluster = Cluster(options.dir)
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        if options.verb == "up":
            if another_answers():
                raise ClusterError("a SLURM already answers here; this one is only for machines without")
            if missing_programs() and options.install:
                install()
            if missing := missing_programs():
                raise ClusterError(f"not found: {', '.join(missing)} (apt-get install {' '.join(PACKAGES)})")
            cluster.up()
        elif options.verb == "down":
            cluster.down()
        elif options.verb == "env":
            for name, value in cluster.env.items():
                print(f"export {name}={value}")
        elif options.verb == "ping":
            print(cluster.run("scontrol", "ping"), end="")
        elif options.daemon is None:
            parser.error(f"{options.verb} needs a daemon: {', '.join(DAEMONS)}")
        else:
            getattr(cluster, options.verb)(options.daemon)
    except ClusterError as error:
        print(f"cluster.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
