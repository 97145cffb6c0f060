"""Environments, answers and files that are not as they should be: a user's habits, a crash, another SLURM."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit import status, stop, submit
from snakemake_executor_plugin_submitit.__main__ import main
from snakemake_executor_plugin_submitit.allocation.claim import TOMBSTONE, progress
from snakemake_executor_plugin_submitit.allocation.clients import NoAnswer, call, clean_environment
from snakemake_executor_plugin_submitit.allocation.files import read_json
from snakemake_executor_plugin_submitit.clusters.base import Refused, State
from snakemake_executor_plugin_submitit.clusters.sbatch import sbatch
from snakemake_executor_plugin_submitit.clusters.slurm import SlurmCluster
from snakemake_executor_plugin_submitit.command import Command
from snakemake_executor_plugin_submitit.describe import describe
from snakemake_executor_plugin_submitit.journal import Batch, Journal
from snakemake_executor_plugin_submitit.main_job import MainFolder
from snakemake_executor_plugin_submitit.settings import ExecutorSettings

from .test_packs import batch
from .test_watching import Clock, Following, Scripted


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`tool(name, script)`: a client on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def make(name: str, script: str) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    return make


@pytest.mark.parametrize(
    "name",
    ["SQUEUE_PARTITION", "SQUEUE_NAMES", "SACCT_LOCAL", "SCANCEL_INTERACTIVE", "SCANCEL_STATE", "SINFO_PARTITION",
     "SBATCH_WAIT", "SLURM_JOB_ID"],
)  # fmt: skip
def test_a_users_habits_do_not_reach_clients(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A squeue that shows one partition only would make jobs of others look lost."""
    monkeypatch.setenv(name, "gpu")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    found = clean_environment()
    assert name not in found and found["SLURM_CONF"] == "/etc/slurm.conf"


def test_clients_have_nobody_to_ask(tool: Callable[..., None]) -> None:
    tool("scancel", "read answer && echo $answer")
    (reading, writing), before = os.pipe(), os.dup(0)
    os.write(writing, b"y\n")
    os.dup2(reading, 0)
    try:
        with pytest.raises(NoAnswer):
            call("scancel", "12", timeout=60)
    finally:
        os.dup2(before, 0)
        for number in (reading, writing, before):
            os.close(number)


def test_other_jobs_paths_may_be_no_text(tool: Callable[..., None], tmp_path: Path) -> None:
    made = batch(tmp_path, 1)
    made.pack = None
    made.add_array("12", 0)
    tool(
        "squeue",
        "echo 'squeue: warning: it is late'\n"
        "printf '9|N/A|RUNNING|n1|None|0:01|/home/ann/gr\\xfc\\xdfe/job.sh\\n'\n"
        f"echo '12|0|RUNNING|n1|None|0:01|{made.path}/submission-0.sh'\n"
        "printf '12|1|RUNN'",
    )
    found = SlurmCluster(ExecutorSettings()).states([made])
    assert [state.name for state in found.values()] == ["RUNNING"]


def test_options_of_a_script_hold_whatever_the_environment_says(
    tool: Callable[..., None], tmp_path: Path
) -> None:
    """Given as arguments: sbatch takes SBATCH_PARTITION for more than what stands in a script."""
    script = tmp_path / "it's 100 % mine.sh"
    script.write_text(
        "#!/bin/bash\n\n# Parameters\n#SBATCH --partition=gpu\n#SBATCH --requeue\n#SBATCH --comment='for the lab'\n"
        "\ntrue\n#SBATCH --hold\n"
    )
    tool("sbatch", f"printf '%s\\n' \"$@\" > {tmp_path}/given; echo Submitted batch job 12 on cluster big")
    assert sbatch(script) == "12"
    given = (tmp_path / "given").read_text().splitlines()
    assert given == ["--partition=gpu", "--requeue", "--comment=for the lab", str(script)]
    tool("sbatch", "echo welcome")
    with pytest.raises(NoAnswer, match="no job id: 'welcome'"):
        sbatch(script)


def test_a_folder_that_slurm_cannot_write_into_is_refused(tmp_path: Path) -> None:
    """It removes a backslash from the names of output files, and could not start the job."""
    made = batch(tmp_path / "back\\slash", 1)
    with pytest.raises(Refused, match="contains a backslash") as refused:
        SlurmCluster(ExecutorSettings()).submit(made, 0, 1)
    assert refused.value.final


def test_snakemake_as_a_job_in_a_folder_with_a_blank(tmp_path: Path) -> None:
    text = submit.script(MainFolder(tmp_path / "my 100% runs/1"), submit.Request(), None, None)
    assert f"#SBATCH --output='{tmp_path}/my 100%% runs/1/log'\n" in text


@pytest.mark.parametrize("name", ["plain", "it's [1]", "what?", "a*b"])
def test_progress_is_seen_whatever_a_job_is_called(tmp_path: Path, name: str) -> None:
    """Else a long job that is requeued again and again would seem to get nowhere."""
    job = SimpleNamespace(
        is_group=lambda: False,
        wildcards_dict={"name": name},
        params=SimpleNamespace(),
        resources={
            "progress": "saved/{name}/*",
            "pack_command": "\n  python train.py --runs\n",  # the file with the lines comes behind it
            "pack_line": "one\r\ntwo\n",
        },
        rule=SimpleNamespace(name="r"),
        shellcmd="true",
        output=[],
    )
    described = describe(job, "k", Command([], False), tmp_path / "log", {}, {}, "")
    assert (described.pack_command, described.pack_line.strip()) == ("python train.py --runs", "one two")
    before = progress(described.progress, tmp_path)
    (tmp_path / "saved" / name).mkdir(parents=True)
    (tmp_path / "saved" / name / "step7").touch()
    assert progress(described.progress, tmp_path) != before


@pytest.mark.parametrize("name", ["WARMING_UP", "RUNNING+"])
def test_a_state_that_nobody_knows_is_no_end(name: str) -> None:
    assert State(name, "12_0").live and not State("LOST", "12_0").live


@pytest.mark.parametrize("content", [b"", b"\0\0\0\0", b'{"number": 1', b"\xff\xfe"])
def test_torn_files_are_no_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "torn").write_bytes(content)
    assert read_json(tmp_path / "torn") is None


def test_torn_lines_about_arrays_are_passed_over(tmp_path: Path) -> None:
    """squeue shows those arrays by their script."""
    made = Batch(tmp_path, "b", "slurm", {}, {}, str(tmp_path))
    made.files.create()
    made.add_array("12", 0, 40)
    made.add_array("13", 40)
    with made.files.arrays.open("ab") as file:
        file.write(b"\0\0\0\0\n\xff 3\n14 x\n15 \n")
    assert made.first_tasks() == {"12": 0, "13": 40} and made.packs() == {"12": range(40)}


def test_a_list_that_is_followed_is_left_by_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "follow", interrupted)
    assert main(["status", "--follow"]) == 130


def test_a_job_that_is_yet_to_be_submitted_is_cancelled_by_name(
    tmp_path: Path, fake_slurm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits at a limit, for example: should it be submitted, it ends at once and counts as cancelled."""
    monkeypatch.setenv("PATH", fake_slurm.env["PATH"])
    (fake_slurm.folder / "jobs").mkdir()
    journal = Journal(tmp_path / "folder")
    made = batch(journal.root, 2)
    intent = json.loads(made.files.intent.read_text())
    made.files.intent.write_text(json.dumps(intent | {"pack": None}))
    assert stop.cancel(journal.folder, ["run1"]) == "run1: cancelled."
    assert [made.claimed_by(0), made.claimed_by(1)] == [None, TOMBSTONE]
    following = Following(tmp_path / "followed", Clock(monkeypatch), Scripted())
    following.tickets[0].batch.bury(0)
    following.all_are("COMPLETED")
    following.run(40)
    assert "CANCELLED" in (following.tickets[0].failure or "")
    assert following.tickets[0].state is not None and following.tickets[0].state.name == "CANCELLED"
