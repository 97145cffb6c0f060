"""Snakemake's own tests of executors, on the local cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from snakemake.common.tests import TestWorkflowsLocalStorageBase as Suite
from snakemake_executor_plugin_submitit import ExecutorSettings


@pytest.mark.slow
class TestLocalCluster(Suite):
    __test__ = True

    def get_executor(self) -> str:
        return "submitit"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(cluster="local")

    @pytest.fixture(autouse=True)
    def stay_in_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)  # the suite changes it and does not go back
