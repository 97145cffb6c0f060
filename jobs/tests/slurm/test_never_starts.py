"""Jobs that can never start, or are held, are told of once, with what the cluster allows; comments may be rewritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

LONG = """
rule all:
    input: expand("out/{i}", i=range(6))
rule long:
    output: "out/{i}"
    resources: slurm_partition="brief", runtime=30
    shell: "touch {output}"
"""

SLEEPERS = """
rule all:
    input: expand("out/{i}", i=range(4))
rule sleeper:
    output: "out/{i}"
    shell: "until [ -e go ]; do sleep 0.3; done; echo {wildcards.i} >> ran; touch {output}"
"""


@pytest.fixture
def brief(cluster: Any) -> Iterator[None]:
    """A partition that allows ten minutes."""
    cluster.run("scontrol", "create", "PartitionName=brief", "Nodes=node1", "MaxTime=10", "State=UP")
    yield
    cluster.run("scancel", "--partition=brief")
    cluster.wait_until("it is empty", lambda: not cluster.run("squeue", "-h", "-p", "brief"), 30)
    cluster.run("scontrol", "delete", "PartitionName=brief")


def test_too_long_for_the_partition(sweep: Callable[..., Any], brief: None) -> None:
    s = sweep(LONG)
    s.start()
    s.until("it is told", lambda: "cannot start as requested" in s.text())
    s.interrupt()
    s.wait()
    compared = "30 minutes requested, but partition brief has at most 10"
    assert s.text().count(f"may never start: {compared}") == 1
    assert s.text().count("6 jobs (long, ") == 1 and s.text().count(compared) == 2


def test_held_and_with_other_comments(sweep: Callable[..., Any], cluster: Any) -> None:
    """A user's own comment arrives; whatever rewrites it, and holds the jobs, every job is followed to its end."""
    s = sweep(SLEEPERS, "--submitit-extra=--hold --comment='billed to us' --wckey=mine")
    s.start()
    s.until("it is told", lambda: "are held" in s.text())
    (array,) = s.arrays()
    assert "billed to us" in cluster.run("squeue", "-h", "-o", "%k", "-j", array)
    assert s.text().count("4 jobs (sleeper, ") == 1 and f"scontrol release {array}" in s.text()
    cluster.run("scontrol", "update", f"JobId={array}", "Comment=the site's")
    s.kill()
    cluster.run("scontrol", "release", array)
    s.until("they run", lambda: [r[2] for r in s.queue()] == ["RUNNING"] * 4)
    s.start()
    s.until("they are taken over", lambda: s.text().count("running already") == 4)
    (s.folder / "go").touch()
    assert s.wait() == 0, s.text()
    assert sorted((s.folder / "ran").read_text().split()) == ["0", "1", "2", "3"] and len(s.arrays()) == 1
