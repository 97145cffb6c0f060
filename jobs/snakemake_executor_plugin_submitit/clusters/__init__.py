"""The sources of allocations, behind one interface: SLURM, this machine, or the main process itself."""

from __future__ import annotations

from ..settings import ExecutorSettings
from .base import Cluster
from .debug import DebugCluster
from .local import LocalCluster
from .slurm import SlurmCluster


def make_cluster(settings: ExecutorSettings) -> Cluster:
    """Return the cluster that the settings name; they have checked the name."""
    if settings.cluster == "local":
        return LocalCluster(settings)
    if settings.cluster == "debug":
        return DebugCluster()
    return SlurmCluster(settings)
