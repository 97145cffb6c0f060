"""Stages on a real SLURM, the main process killed after each."""

from __future__ import annotations

from typing import Any

from tests.conftest import copy_project
from tests.workflow.staged import check_the_end, configuration, kill_after_each_stage


def test_stages_on_the_cluster_with_the_main_process_killed_after_each(cluster: Any, tmp_path: Any) -> None:
    project = copy_project(tmp_path / "project")
    project.environment = dict(cluster.env)
    project.configure(configuration())
    # Three where each is seen to end; jobs go on while no main process lives, and then two may end as one.
    assert kill_after_each_stage(project, ["--profile", "slurm", "all"]) >= 2
    check_the_end(project)
    assert "Nothing to be done" in project.on_cluster("all").stderr
