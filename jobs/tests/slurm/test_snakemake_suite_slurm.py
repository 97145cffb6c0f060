"""Snakemake's own tests of executors, on SLURM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from snakemake.common.tests import TestWorkflowsLocalStorageBase as Suite
from snakemake_executor_plugin_submitit import ExecutorSettings


class TestSlurmCluster(Suite):
    __test__ = True

    def get_executor(self) -> str:
        return "submitit"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(mem="500MB")

    @pytest.fixture(autouse=True)
    def on_our_cluster(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: Any) -> None:
        monkeypatch.chdir(tmp_path)  # the suite changes it and does not go back
        for name, value in cluster.env.items():
            monkeypatch.setenv(name, value)
