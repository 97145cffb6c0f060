"""The files that a private SLURM is configured by: slurm.conf, gres.conf, slurmdbd.conf, its key and database."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
from pathlib import Path

from .machine import free_ports

NODES = ("node1", "node2")

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
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node1]} CPUs=32 RealMemory=32000 Gres=gpu:8
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node2]} CPUs=32 RealMemory=32000 Gres=gpu:8
PartitionName=DEFAULT Nodes=node[1-2] MaxTime=1-00:00:00 DefaultTime=10 State=UP
PartitionName=low Default=YES PriorityTier=1
PartitionName=graced PriorityTier=1 GraceTime=20
PartitionName=high PriorityTier=10 PreemptMode=off
"""

GRES_CONF = "NodeName=node[1-2] Name=gpu File={dir}/gpu[0-7]\n"

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


def write_files(folder: Path, user: str) -> None:
    """Fill an empty folder with everything that the daemons read."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # munged refuses a socket in a folder that others cannot reach
    for name in ("log", "state", "pid", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir()
    for gpu in (folder / f"gpu{number}" for number in range(8)):
        try:  # SLURM sets CUDA_VISIBLE_DEVICES only for devices: another /dev/null will do
            os.mknod(gpu, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            gpu.touch()
    values = {
        "dir": folder,
        "user": user,
        "host": socket.gethostname().split(".")[0],
        "ports": free_ports("mariadbd", "slurmdbd", "slurmctld", *NODES),
        "password": secrets.token_hex(16),
    }
    (folder / "ports.json").write_text(json.dumps(values["ports"]))
    write_secret(folder / "munge.key", secrets.token_bytes(128))
    write_secret(folder / "slurmdbd.conf", SLURMDBD_CONF.format(**values).encode())
    write_secret(folder / "database.sql", DATABASE_SQL.format(**values).encode())
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
    (folder / "gres.conf").write_text(GRES_CONF.format(**values))


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)
