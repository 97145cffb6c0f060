"""A private two-node SLURM on one machine, for tests; nothing of it touches the machine's own.

Everything (configuration, keys, state, sockets, database, logs) lies in one folder, ports are free ones
bound to loopback, and each daemon runs without systemd. Partitions: `low` (default, preempted by
requeue with SIGTERM only), `graced` (preempted after a grace time, so that SIGUSR2 comes first) and
`high`, which preempts both. Nodes claim more CPUs than the machine has; GPUs are devices that swallow
everything.

It needs Debian's slurmctld slurmd slurm-client slurmdbd munge mariadb-server; `python -m private_slurm
up DIR --install` fetches them. Tests get it as the fixture `cluster` (see `pytest_plugin`).
"""

from .cluster import Cluster, ClusterError
from .machine import another_answers, missing_programs

__all__ = ["Cluster", "ClusterError", "another_answers", "missing_programs"]
