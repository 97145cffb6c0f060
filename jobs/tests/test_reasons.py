"""Why jobs wait: said once for an array, with what the cluster allows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit.__main__ import main
from snakemake_executor_plugin_submitit.clusters.base import State
from snakemake_executor_plugin_submitit.fits import gpu_count, too_much
from snakemake_executor_plugin_submitit.reasons import Reasons
from snakemake_executor_plugin_submitit.site import Partition

SMALL = Partition("small", True, "1:00:00", 3, "16", "64000", "")
BIG = Partition("big", False, "2-00:00:00", 4, "64+", "512000", "gpu:a100:4")


def waiting(reason: str, name: str = "PENDING") -> list[Any]:
    """Forty tickets of one array."""
    batch = SimpleNamespace(token="t", label="sweep.train")
    state = State(name, "12_3", reason=reason)
    return [
        SimpleNamespace(
            batch=batch,
            over=False,
            releasable=False,
            state=state,
            job_id=f"12_{i}",
            task=SimpleNamespace(label=f"run{i}"),
        )
        for i in range(40)
    ]


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (
            "PartitionTimeLimit",
            "40 jobs (sweep.train, 12) cannot start as requested: PartitionTimeLimit. At most 1.",
        ),
        ("PartitionConfig", "cannot start"),
        ("BadConstraints", "cannot start"),
        ("DependencyNeverSatisfied", "cannot start"),
        ("QOSMaxWallDurationPerJobLimit", "cannot start"),
        ("AssocMaxCpuPerJobLimit", "cannot start"),
        ("QOSMaxJobsPerUserLimit", "waiting because of a limit"),
        ("JobHeldUser", "are held: JobHeldUser. Release with `scontrol release 12`."),
        ("launch failed requeued held", "are held"),
        ("JobHoldMaxRequeue", "are held"),
    ],
)
def test_one_line_for_an_array(reason: str, says: str) -> None:
    said: list[str] = []
    reasons = Reasons(SimpleNamespace(allows=lambda batch, reason: "At most 1"), said.append)  # type: ignore[arg-type]
    for _ in range(3):
        reasons.tell(waiting(reason))
    assert len(said) == 1 and says in said[0]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("RESV_DEL_HOLD", "ReservationDeleted"),
        ("REQUEUE_HOLD", "job requeued in held state"),
        ("SPECIAL_EXIT", "JobHeldUser"),
    ],
)
def test_holds_of_other_names_are_told_too(state: str, reason: str) -> None:
    said: list[str] = []
    reasons = Reasons(SimpleNamespace(allows=lambda batch, reason: ""), said.append)  # type: ignore[arg-type]
    reasons.tell(waiting(reason, state))
    assert len(said) == 1 and reason in said[0]


@pytest.mark.parametrize(
    "reason", ["None", "Priority", "Resources", "BeginTime", "ReqNodeNotAvail", "AssocGrpCpuLimit"]
)
def test_ordinary_waiting_is_not_told(reason: str) -> None:
    said: list[str] = []
    Reasons(SimpleNamespace(), said.append).tell(waiting(reason))  # type: ignore[arg-type]
    assert said == []


@pytest.mark.parametrize(
    ("asked", "objections"),
    [
        ({"time": 60, "nodes": 3, "cpus_per_task": 16, "mem": "64000M"}, []),
        ({"time": 61}, ["61 minutes requested, but partition small has at most 60"]),
        ({"nodes": 4}, ["4 nodes requested, but partition small has at most 3"]),
        ({"cpus_per_task": 8, "ntasks_per_node": 3}, ["24 CPUs"]),
        ({"mem": "100GB"}, ["102400 MB"]),
        ({"gpus_per_node": 1}, ["1 GPUs"]),
        ({"partition": "big", "gres": "gpu:a100:5"}, ["5 GPUs"]),
        ({"partition": "big", "cpus_per_task": 100}, []),  # some nodes have more than 64
        ({"partition": "small,big", "time": 600}, []),
        ({"partition": "nowhere", "time": 10**6}, []),
    ],
)
def test_requests_are_compared_with_partitions(asked: dict[str, Any], objections: list[str]) -> None:
    found = too_much(asked, [SMALL, BIG])
    assert len(found) == len(objections)
    assert all(is_.startswith(ought) for is_, ought in zip(found, objections, strict=True))


@pytest.mark.parametrize(
    ("gres", "count"),
    [("gpu", 1), ("gpu:2", 2), ("gpu:a100:4", 4), ("gpu:2080ti:8", 8), ("gpu:3090:4(S:0-1)", 4), ("gpu:1g.5gb:7", 7),
     ("gpu:a100:2,gpu:a100_1g.5gb:14", 16), ("license:3", 0), ("gpu_memory:40,gpu:2(IDX:0,1)", 2), ("", 0)],
)  # fmt: skip
def test_gpus_of_any_type_are_counted(gres: str, count: int) -> None:
    """A type may begin with a digit."""
    assert gpu_count(gres) == count


def test_site_compares_the_profile(
    tmp_path: Path, fake_slurm: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in fake_slurm.env.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config.yaml").write_text(
        "executor: submitit\ndefault-resources:\n  runtime: 600\n  mem_mb: 4000\n"
        "set-resources:\n  big:\n    slurm_partition: big\n    gpu: 8\n"
    )
    assert main(["site", "--profile", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "by default: 600 minutes requested, but partition small has at most 60" in text
    assert "for rule big: 8 GPUs requested" in text
