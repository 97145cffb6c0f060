"""A SLURM of our own for the tests marked `slurm`, and a way to run sweeps on it.

`TEST_SLURM_DIR=DIR` (brought up by `cluster.py up DIR`) spares starting one for each run of pytest.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    """A module that lies beside this file."""
    spec = importlib.util.spec_from_file_location(f"slurm_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


cluster_module, sweep_module = load("cluster"), load("sweep")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster() -> Iterator[object]:
    """The private cluster, up for the whole session."""
    given = os.environ.get("TEST_SLURM_DIR")
    if given:
        yield cluster_module.Cluster(given)
        return
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if missing := cluster_module.missing_programs():
        pytest.skip(f"no SLURM to start: {', '.join(missing)} not found")
    if cluster_module.another_answers():
        pytest.skip("a SLURM answers here already; the tests start their own or none")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = cluster_module.Cluster(Path(folder) / "c")
        cluster.up()
        try:
            yield cluster
        finally:
            cluster.down()
            assert not cluster.leftovers()


@pytest.fixture
def sweep(cluster: object, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """`sweep(snakefile, *options)`: a folder with that Snakefile, run with `--profile slurm`."""
    made: list[object] = []

    def make(snakefile: str, *options: str, name: str = "sweep") -> object:
        made.append(sweep_module.Sweep(tmp_path / name, cluster, snakefile, options))
        return made[-1]

    yield make
    for one in made:
        one.clean_up()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def heard_interrupts() -> Iterator[None]:
    """Ctrl-C reaches what the tests start, also where they run in a shell's background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
