"""The fixture `cluster`: one private SLURM for a whole run of pytest, whichever folders its tests lie in.

A conftest that wants it imports this plugin by name:

    def pytest_configure(config):
        config.pluginmanager.import_plugin("private_slurm.pytest_plugin")

`TEST_SLURM_DIR=DIR` (brought up by `python -m private_slurm up DIR`) spares starting one for each run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, ClusterError
from .machine import another_answers, missing_programs
from .sweep import Sweep


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The private cluster, up for the whole session."""
    if given := os.environ.get("TEST_SLURM_DIR"):
        yield Cluster(given)
        return
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if missing := missing_programs():
        pytest.skip(f"no SLURM to start: {', '.join(missing)} not found")
    if another_answers():
        pytest.skip("a SLURM answers here already; the tests start their own or none")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = Cluster(Path(folder) / "c")
        _up(cluster)
        try:
            yield cluster
        finally:
            cluster.down()
            assert not cluster.leftovers()


def _up(cluster: Cluster, times: int = 3) -> None:
    """Start it; again, on other ports, where another process took one of those that were free a moment before."""
    for left in reversed(range(times)):
        try:
            cluster.up()
            break
        except ClusterError as error:
            if not left:
                raise
            print(f"the private SLURM is started once more: {error}", file=sys.stderr)


@pytest.fixture
def sweep(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Sweep]]:
    """`sweep(snakefile, *options)`: a folder with that Snakefile, run on the private cluster."""
    made: list[Sweep] = []

    def make(snakefile: str, *options: str, name: str = "sweep") -> Sweep:
        made.append(Sweep(tmp_path / name, cluster, snakefile, options))
        return made[-1]

    yield make
    for one in made:
        one.clean_up()
