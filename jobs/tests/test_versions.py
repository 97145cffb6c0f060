"""What SLURM's clients print, in the forms that its versions have, read as what it means.

Lines of 22.05 were typed after a cluster's output. None of another version is recorded: they were written after the
format strings in SLURM's sources, as docs/slurm-versions.md says for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from snakemake_executor_plugin_submitit.clusters import slurm
from snakemake_executor_plugin_submitit.clusters.base import State
from snakemake_executor_plugin_submitit.clusters.limits import of_association, of_qos, of_qos_table, tightest
from snakemake_executor_plugin_submitit.clusters.refusals import refusal
from snakemake_executor_plugin_submitit.clusters.slurm import SlurmCluster
from snakemake_executor_plugin_submitit.journal import Batch
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.site import partitions

SCRIPT = "/home/ann/my dir 50%/.snakemake/submitit/batches/{token}/submission-{first}.sh"


@pytest.fixture
def cluster() -> SlurmCluster:
    return SlurmCluster(ExecutorSettings())


def answers(monkeypatch: pytest.MonkeyPatch, module: Any, **texts: str) -> None:
    monkeypatch.setattr(module, "call", lambda tool, *rest, timeout: texts[tool])


def batch(root: Path, *arrays: tuple[str, int]) -> Batch:
    made = Batch(root, "a", "slurm", {}, {}, str(root))
    made.write_intent()
    for job_id, first in arrays:
        made.add_array(job_id, first)
    return made


def lines(made: Batch, *rows: str) -> str:
    return "\n".join(row.replace("SCRIPT", SCRIPT.format(token=made.token, first=100)) for row in rows)


@pytest.mark.parametrize(
    ("command", "index"),
    [
        ("SCRIPT", 101),
        ("SCRIPT ", 101),
        ("/var/spool/wrapped.sh", 1),
        ("(null)", 1),
        ("", 1),
        ("a|b SCRIPT", 101),
    ],
)
def test_array_and_task_id_identify_else_the_script(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: SlurmCluster, command: str, index: int
) -> None:
    """Array 12 is known to begin at task 0 of its batch, array 13 is not known: its answer was lost."""
    made = batch(tmp_path, ("12", 0))
    array = "13" if "SCRIPT" in command else "12"
    answers(monkeypatch, slurm, squeue=lines(made, f"{array}|1|RUNNING|n1|None|0:10|{command}"))
    assert cluster.states([made]) == {
        (made.token, index): State("RUNNING", f"{array}_1", "n1", "None", "0:10")
    }
    assert array in made.first_tasks(), "an array whose answer was lost is known from now on"


def test_another_batchs_script_overrules_the_id(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: SlurmCluster
) -> None:
    """After a cluster was set up anew its job ids begin at 1 again."""
    old = batch(tmp_path / "old", ("12", 0))
    new = batch(tmp_path / "new")
    answers(monkeypatch, slurm, squeue=lines(new, "12|0|RUNNING|n1|None|0:10|SCRIPT"))
    assert cluster.states([old]) == {} and list(cluster.states([old, new])) == [(new.token, 100)]


def test_journals_of_earlier_versions_are_read_by_the_script(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: SlurmCluster
) -> None:
    made = batch(tmp_path)
    made.files.arrays.write_text("12\n13\n")
    answers(monkeypatch, slurm, squeue=lines(made, "13|2|PENDING||Priority|0:00|SCRIPT"))
    assert list(cluster.states([made])) == [(made.token, 102)] and made.arrays() == ["12", "13"]


@pytest.mark.parametrize(
    "row",
    ["CLUSTER: other", "14|N/A|RUNNING|n1|None|0:10|/bin/bash", "12|[3-9%2]|PENDING||None|0:00|SCRIPT", ""],
)
def test_other_lines_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: SlurmCluster, row: str
) -> None:
    made = batch(tmp_path, ("12", 0))
    answers(monkeypatch, slurm, squeue=lines(made, row))
    assert cluster.states([made]) == {}


@pytest.mark.parametrize(
    "name",
    ["COMPLETING", "STAGE_OUT", "CONFIGURING", "RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT",
     "STOPPED", "RESV_DEL_HOLD", "SIGNALING", "PENDING", "RUNNING", "SUSPENDED", "EXPEDITING"],
)  # fmt: skip
def test_states_of_any_version_that_are_no_ends(name: str) -> None:
    assert State(name, "12_0").live


@pytest.mark.parametrize(
    "name",
    ["REVOKED", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE",
     "OUT_OF_MEMORY"],
)  # fmt: skip
def test_states_of_any_version_that_are_ends(name: str) -> None:
    assert not State(name, "12_0").live


@pytest.mark.parametrize(
    ("state", "name"),
    [("CANCELLED by 1000", "CANCELLED"), ("OUT_OF_MEMORY", "OUT_OF_MEMORY"), ("CANCELLED+", "CANCELLED")],
)
def test_accounting(monkeypatch: pytest.MonkeyPatch, cluster: SlurmCluster, state: str, name: str) -> None:
    text = f"12_0|{state}|n1|00:00:10|\n12_0.batch|CANCELLED|n1|00:00:10|1234K\n12_[1-3]|PENDING|||\n"
    answers(monkeypatch, slurm, sacct=text)
    found = cluster.ended({("t", 0): "12_0", ("t", 1): "12_1"})
    assert {k: v.name.rstrip("+") for k, v in found.items()} == {("t", 0): name}
    assert found["t", 0].peak_memory == "1234K"


ASSOC = """Current Association Manager state

Association Records

ClusterName=c Account=lab UserName= Partition= Priority=0 ID=3
    ParentAccount=root(1) Lft=2 DefAssoc=No
    GrpSubmitJobs={group} GrpWall=N(0.00)
    MaxJobs= MaxJobsAccrue= MaxSubmitJobs= MaxWallPJ=
ClusterName=c Account=lab UserName=ann(1000) Partition= Priority=0 ID=5
    ParentAccount= Lft=3 DefAssoc=Yes
    GrpSubmitJobs=N(3) GrpWall=N(0.00)
    MaxJobs= MaxJobsAccrue= MaxSubmitJobs={own} MaxWallPJ=
ClusterName=c Account=guests UserName=ann(1000) Partition= Priority=0 ID=6
    ParentAccount= Lft=3 DefAssoc=No
    MaxJobs= MaxJobsAccrue= MaxSubmitJobs=1(1) MaxWallPJ=

QOS Records

QOS=normal(1)
    GrpJobs=N(0) GrpJobsAccrue=N(0) GrpSubmitJobs=N(0) GrpWall=N(0.00)
    Account Limits
        No Accounts
    User Limits
        No Users
QOS=short(2)
    GrpJobs=N(0) GrpJobsAccrue=N(0) GrpSubmitJobs=N(0) GrpWall=N(0.00)
    Account Limits
      lab
        MaxJobsPA=N(0) MaxJobsAccruePA=N(0) MaxSubmitJobsPA=9(4)
    User Limits
      {user}
        MaxJobsPU=N(0) MaxJobsAccruePU=N(0) MaxSubmitJobsPU=5(4)
      1001
        MaxJobsPU=N(0) MaxJobsAccruePU=N(0) MaxSubmitJobsPU=5(5)
"""


@pytest.mark.parametrize(
    ("group", "own", "asked", "room"),
    [
        ("N(3)", "20(3)", {}, 17),
        ("8(7)", "20(3)", {}, 1),
        ("N(3)", "", {}, None),
        ("N(3)", "20(3)", {"account": "guests"}, 0),
        ("N(3)", "0(0)", {}, 0),
    ],
)
def test_limits_of_associations(group: str, own: str, asked: dict[str, str], room: int | None) -> None:
    text = ASSOC.format(group=group, own=own, user="1000")
    found = tightest(of_association(text, "ann", asked))
    assert (found.room if found else None) == room


@pytest.mark.parametrize("user", ["1000", "ann(1000)"], ids=["to 22.05", "from 23.02"])
@pytest.mark.parametrize(("asked", "room"), [({"qos": "short"}, 1), ({}, 1), ({"qos": "normal"}, None)])
def test_limits_of_a_qos(user: str, asked: dict[str, str], room: int | None) -> None:
    found = tightest(of_qos(ASSOC.format(group="", own="", user=user), ("ann", "1000"), asked))
    assert (found.room if found else None) == room


def test_limits_of_a_qos_in_which_nobody_has_jobs() -> None:
    found = tightest(of_qos_table("normal|||\nshort|5||7\n", {"qos": "short"}))
    assert found is not None and found.room == 5


def test_partitions_as_sinfo_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from snakemake_executor_plugin_submitit import site

    text = "a*|infinite|3|16+|64000+|gpu:a100:4(S:0-1),gpu:v100:2(IDX:0-1)\nb|30:00|1|8|1000|(null)\n"
    answers(monkeypatch, site, sinfo=text)
    first, second = partitions()
    assert (first.default, first.limit, first.cpus, first.gres) == (
        True,
        "infinite",
        "16+",
        "gpu:a100:4,gpu:v100:2",
    )
    assert site.minutes(first.limit) is None and site.minutes(second.limit) == 30


def test_a_refusal_names_its_limit() -> None:
    policy = (
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)"
    )
    assert refusal(f"sbatch: error: AssocMaxSubmitJobLimit\n{policy}", 3).limit == "AssocMaxSubmitJobLimit"
    assert refusal(f"allocation failure: QOSMaxSubmitJobPerUserLimit\n{policy}", 3).full
