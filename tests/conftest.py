"""Fixtures for all rooms: where real data lie, and a copy of the project to run things in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]

# Tests that run beside each other share the cores. Read when torch is imported, which is later.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts Snakemake: `-m "not workflow"` leaves it out where only a mechanism has changed."""
    for item in items:
        if {"project", "shared_project"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("workflow")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: ``FAVIT_TEST_DATA``, else ``../shared/data`` beside the project."""
    folder = Path(os.environ.get("FAVIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (FAVIT_TEST_DATA names another folder)")
    return folder


@dataclass
class Project:
    """A copy of the project's code with a configuration of its own.

    ``environment`` is set on top of this process's own in everything that it runs.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def configure(self, config: dict[str, Any]) -> None:
        """Write ``config.yaml``."""
        (self.root / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def config(self) -> dict[str, Any]:
        """Read ``config.yaml``."""
        return yaml.safe_load((self.root / "config.yaml").read_text())

    def python(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run this interpreter in the project."""
        return self._call([sys.executable, *arguments], check)

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake on one core, as a person would type it."""
        return self._call([sys.executable, "-m", "snakemake", "--cores", "1", *arguments], check)

    def on_cluster(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with the shipped profile, as a person on a cluster would type it."""
        return self._call([sys.executable, "-m", "snakemake", "--profile", "slurm", *arguments], check)

    def results(self) -> list[Path]:
        """All finished results, sorted."""
        return sorted((self.root / "results" / "runs").rglob("metrics.json"))

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        file = self.root / path
        text = file.read_text()
        assert old in text, f"{path} does not contain {old!r}"
        file.write_text(text.replace(old, new))

    def _call(self, command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join(map(str, (self.root, self.root / "jobs")))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **self.environment}
        environment.pop("PYTEST_CURRENT_TEST", None)
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=600
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")
        return done


def copy_project(target: Path) -> Project:
    """Copy the code that a sweep needs, without results and environment."""
    target.mkdir(parents=True, exist_ok=True)
    ignored = shutil.ignore_patterns("__pycache__", "tests", ".*_cache")
    for name in ("favit", "workflow", "jobs", "slurm"):
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, target / name)
    return Project(target)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh copy of the project."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One copy of the project for all tests of a module."""
    return copy_project(tmp_path_factory.mktemp("shared") / "project")
