"""Jobs that share allocations, in the main process: what is asked for, how members fare, and what follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit import again, packs, stop
from snakemake_executor_plugin_submitit import desk as desk_module
from snakemake_executor_plugin_submitit.allocation import slots
from snakemake_executor_plugin_submitit.allocation.claim import TOMBSTONE, Life, claim
from snakemake_executor_plugin_submitit.clusters.base import State
from snakemake_executor_plugin_submitit.clusters.slurm import SlurmCluster
from snakemake_executor_plugin_submitit.desk import Desk
from snakemake_executor_plugin_submitit.journal import Batch, Journal, Task
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.tickets import Ticket

PACK = {"slots": 8, "rounds": 4, "jobs_per_gpu": 1, "cpus": 6, "gpus": 1, "memory_mb": 1000}
ONE = {"partition": "gpu", "time": 60, "cpus_per_task": 6, "gpus_per_node": 1, "mem": "1000M"}


def batch(root: Path, count: int, pack: dict[str, Any] | None = None, **parameters: Any) -> Batch:
    named = {
        "digest": "d",
        "log": "l",
        "argv": ["true"],
        "env": {},
        "inputs": [],
        "stale": [],
        "progress": [],
    }
    tasks = [
        Task(**named, key=f"k{i}", label=f"run{i}", tmpdir=True, nested=False, limit_s=3600)
        for i in range(count)
    ]
    made = Batch(root, "b", "slurm", ONE | parameters, {}, str(root), pack or PACK, tasks=tasks)
    made.write_intent()
    return made


@pytest.mark.parametrize(
    ("members", "pack", "shape", "cpus", "gpus", "mem", "minutes"),
    [
        (1, {}, (1, 1, 1), 6, 1, "1000M", 61),
        (8, {}, (1, 8, 1), 48, 8, "8000M", 61),
        (20, {}, (1, 8, 3), 48, 8, "8000M", 181),
        (64, {}, (2, 8, 4), 48, 8, "8000M", 241),
        (64, {"slots": 32, "jobs_per_gpu": 4}, (1, 32, 2), 48, 8, "8000M", 121),
        (3, {"slots": 32, "jobs_per_gpu": 4}, (1, 3, 1), 6, 1, "1000M", 61),
    ],
)
def test_what_a_pack_asks_for(
    tmp_path: Path,
    members: int,
    pack: dict[str, Any],
    shape: Any,
    cpus: int,
    gpus: int,
    mem: str,
    minutes: int,
) -> None:
    made = batch(tmp_path, members, PACK | pack)
    assert packs.shape(made, members) == shape
    asked = packs.request(made, members, longest=None)
    assert (asked["cpus_per_task"], asked["gpus_per_node"], asked["mem"]) == (cpus, gpus, mem)
    assert asked["time"] == minutes
    assert packs.request(made, members, longest=90)["time"] == min(minutes, 90)
    assert packs.request(made, members, longest=30)["time"] == 60, "SLURM says that it does not fit"


@pytest.mark.parametrize("sharers", [1, 3])
@pytest.mark.parametrize("rounds", [1, 2])
def test_an_allocation_has_the_places_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int, sharers: int
) -> None:
    """Ten jobs on packs of eight are two allocations of five: no place is without its GPU. Ids may be of any kind."""
    for members in (2, 3, 7, 8, 9, 10, 17, 40):
        made = batch(tmp_path, 0, PACK | {"rounds": rounds, "jobs_per_gpu": sharers, "memory_mb": 999})
        asked = packs.request(made, members, None)
        listed = [f"MIG-{number:04}/1/0" for number in range(asked["gpus_per_node"])]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(listed))
        assert made.pack is not None
        places = slots.make(made.pack, members)
        assert {gpu for place in places for gpu in place.gpus} == set(listed)
        assert all(len(place.gpus) == 1 for place in places)
        assert sum(place.cpus for place in places) <= asked["cpus_per_task"]
        assert sum(place.memory_mb for place in places) <= int(asked["mem"].rstrip("M"))


def test_generic_resources_and_memory_of_each_cpu(tmp_path: Path) -> None:
    made = batch(tmp_path, 8, gres="gpu:a100:1", mem_per_cpu="200M")
    for name in ("mem", "gpus_per_node"):
        del made.parameters[name]
    asked = packs.request(made, 8, None)
    assert (asked["gres"], asked["mem_per_cpu"], asked["cpus_per_task"]) == ("gpu:a100:8", "200M", 48)


def job(**given: Any) -> Any:
    return SimpleNamespace(resources=given, is_group=lambda: False)


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({}, ""),
        ({"nodes": 2}, "several nodes"),
        ({"ntasks_per_node": 2}, "several nodes"),
        ({"time": None}, "no runtime"),
        ({"gpus_per_node": 0, "gres": "gpu:1,nvme:1"}, "gpu:1,nvme:1"),
        ({"additional_parameters": {"mem-per-gpu": "3G"}}, "--mem-per-gpu"),
        ({"additional_parameters": {"exclusive": True}}, ""),
    ],
)
def test_what_is_not_packed(parameters: dict[str, Any], why: str) -> None:
    settings = ExecutorSettings(pack=8)
    asked = ONE | parameters
    reasons = packs.why_not(job(), asked, settings)
    assert (why in reasons[0]) if why else not reasons
    assert (packs.describe(job(), asked, settings) is None) == bool(why)


def test_a_rule_says_more_than_the_profile() -> None:
    settings = ExecutorSettings(pack=8, jobs_per_gpu=2)
    found = packs.describe(job(pack=4), ONE, settings)
    assert found is not None and found["slots"] == 4 and found["jobs_per_gpu"] == 2
    without = {k: v for k, v in ONE.items() if k != "gpus_per_node"}
    assert packs.describe(job(pack=1), without, settings) is None
    of_cpus = packs.describe(job(), without, settings)
    assert of_cpus is not None and (of_cpus["jobs_per_gpu"], of_cpus["gpus"]) == (1, 0)
    assert packs.describe(job(), ONE, ExecutorSettings(pack=8, cluster="local")) is None
    assert packs.describe(job(pack=1), ONE, settings) is None, "its rule wants an allocation for each"
    shares = packs.describe(job(), ONE, ExecutorSettings(jobs_per_gpu=4))
    assert shares is not None and shares["slots"] == 4


def test_the_script_of_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = batch(tmp_path / "batches", 40)
    cluster = SlurmCluster(ExecutorSettings())
    monkeypatch.setattr(cluster, "_listed", [])
    script = cluster.script(made, 0, 40)
    assert "--array=0-1%2" in script and "--gpus-per-node=8" in script and "--time=181" in script
    assert script.rstrip().endswith(f"{made.path} 0 40 {181 * 60}")


def test_how_members_fare(tmp_path: Path) -> None:
    made = batch(tmp_path, 6)
    for index, owner in enumerate(["9_0", "9_0", "9_0", TOMBSTONE, "9_1"]):
        claim(made.path, index, owner)
    for index in (0, 2):
        Life.begin(made.path, index, "", 1)
    made.fence(2)
    runs, waits = State("RUNNING", "9_0", "n1"), State("PENDING", "9_1", reason="Resources")

    def fates(*allocations: State) -> list[str]:
        found = packs.members(made, "9", range(6), dict(enumerate(allocations)))
        return [found[i].name if i in found else "-" for i in range(6)]

    assert fates(runs, waits) == ["RUNNING", "PENDING", "RUNNING", "CANCELLED", "PENDING", "PENDING"]
    made.files.beat(2).unlink()
    assert fates(runs, waits)[2] == "CANCELLED", "its allocation runs on"
    over = State("COMPLETED", "9_1")
    assert fates(runs, over)[4:] == ["COMPLETED", "PENDING"]
    assert fates(State("PREEMPTED", "9_0"), over)[:2] == ["PREEMPTED"] * 2
    assert fates(State("PREEMPTED", "9_0"), over)[5] == "PREEMPTED"
    assert fates(State("CANCELLED", "9_0"), over)[5] == "COMPLETED"
    assert fates(*[State("CANCELLED", "9_0")] * 2)[5] == "CANCELLED"
    assert fates(State("FAILED", "9_0"), over)[5] == "FAILED"
    assert fates(State("TIMEOUT", "9_0"), over)[5] == "COMPLETED", "that was others' time"


def test_waiting_on_the_list_is_no_lack_of_progress(tmp_path: Path) -> None:
    """However often packs are ended before they come to it, a member that never began is submitted again."""
    made = batch(tmp_path, 2)
    made.files.pack_life("9_0").touch()
    claim(made.path, 1, "9_0")
    for index, stalled in ((0, 0), (1, 1)):
        ticket = Ticket(SimpleNamespace(register=lambda token: None), made, index, [])
        assert again.why_not(ticket, 5) == ""
        later = batch(tmp_path, 0)
        again.prepare(ticket, later)
        again.move(ticket, later)
        assert Life.begin(later.path, 0, "", 0.01).stalled == stalled
    assert made.claimed_by(0) == TOMBSTONE and made.fenced(1)


class Counting(SlurmCluster):
    def __init__(self) -> None:
        super().__init__(ExecutorSettings())
        self.submissions: list[tuple[int, int]] = []
        self.cancelled: list[str] = []

    def largest(self) -> int:
        return 3

    def objections(self, batch: Batch) -> list[str]:
        return []

    def submit(self, batch: Batch, first: int, count: int) -> str:
        self.submissions.append((first, count))
        return str(len(self.submissions))

    def cancel_waiting(self, job_ids: Any) -> None:
        self.cancelled += job_ids


def test_the_desk_counts_allocations(tmp_path: Path) -> None:
    """A full pack goes at once, one with places left waits for company; arrays are as large as the cluster allows."""
    cluster = Counting()
    desk = Desk(cluster, 60, lambda message: None, lambda: True, pack_wait_s=0.3)

    def add(count: int) -> Batch:
        made = desk.open_batch("g", lambda: batch(tmp_path, 0, PACK | {"rounds": 1}))
        for _ in range(count):
            made.tasks.append(batch(tmp_path, 1).tasks[0])
            desk.add("g", Ticket(None, made, len(made.tasks) - 1, []))
        return made

    made = add(32)
    desk.seal()
    desk.submit_due(False)
    assert cluster.submissions == [(0, 24), (24, 8)]
    assert made.packs() == {"1": range(24), "2": range(24, 32)}
    assert made.first_tasks() == {"1": 0, "2": 24}
    single = add(1)
    time.sleep(0.35)
    desk.seal()
    assert single.pack is None and desk.pieces.pop().batch is single, "it is a job like any other"
    add(3)
    desk.seal()
    assert not desk.pieces and len(desk.unsubmitted()) == 3
    time.sleep(0.35)
    desk.seal()
    desk.submit_due(False)
    assert cluster.submissions[-1] == (0, 3)


def test_packs_with_nothing_left_to_do_are_cancelled(tmp_path: Path) -> None:
    cluster = Counting()
    leftovers = packs.Leftovers(cluster, lambda message: None)
    made, small = batch(tmp_path, 40), batch(tmp_path, 8)
    made.add_array("5", 0, 40)
    small.add_array("6", 0, 8)
    leftovers.look([made, small, small])
    for index in range(39):
        made.close(index)
    for index in range(8):
        small.close(index)
    leftovers.look([made])
    assert cluster.cancelled == [], "an allocation alone ends by itself"
    leftovers.look([])
    assert cluster.cancelled == [], "another sweep may want what is left"
    leftovers.look([made])
    made.close(39)
    leftovers.look([])
    assert cluster.cancelled == ["5"]


PACKED = """
rule all:
    input: expand("out/{i}", i=range(20)), "out/two", "out/bad"
rule work:
    output: "out/{i,[0-9]+}"
    resources: runtime=5, pack=4
    shell: "echo {wildcards.i} $SLURM_ARRAY_TASK_ID >> ran; sleep 0.2; touch {output}"
rule two:
    output: "out/two"
    resources: runtime=5, pack=4, nodes=2
    shell: "touch {output}"
rule bad:
    output: "out/bad"
    resources: runtime=5, pack=4, array_label="work"
    shell: "echo why; exit 7"
"""


@pytest.mark.slow
def test_a_workflow_on_packs(on_fake_slurm: Callable[[str], Any], fake_slurm: Any) -> None:
    """Every job once, in few allocations; what fails is told by itself; what does not pack is told on request."""
    w = on_fake_slurm(PACKED)
    said = w.fail("--submitit-pack-wait-s", "0.5", "--submitit-explain-nested")
    ran = [line.split()[0] for line in w.read("ran").splitlines()]
    assert sorted(ran, key=int) == [str(i) for i in range(20)]
    assert "Rule two is not packed: it runs on several nodes or tasks." in said
    assert "packed into 2 allocations" in said and "bad failed" in said and "| why" in said
    assert len([c for c in fake_slurm.calls if c.startswith("sbatch")]) == 2
    logs = w.folder / ".snakemake/submitit/logs/work"
    assert {p.name for p in logs.iterdir()} == {*(f"work.{i}.log" for i in range(20)), "bad.log"}


WARM = """
rule all:
    input: expand("out/{i}", i=range(6))
rule work:
    output: "out/{i}"
    resources:
        runtime=5, pack=2,
        pack_line='{"run": "r{i}", "out": "out/{i}"}',
        pack_command="python3 train.py --runs",
    shell: "touch by_itself; touch {output}"
"""
TRAIN = """
import json, os, pathlib, sys
open("processes", "a").write(f"{os.getpid()}\\n")
for line in open(sys.argv[sys.argv.index("--runs") + 1]):
    run = json.loads(line)
    pathlib.Path(run["out"]).write_text(run["run"])
    print(json.dumps({**run, "exit_code": 0}), flush=True)
"""


@pytest.mark.slow
def test_a_rule_gives_lines_to_one_warm_process(on_fake_slurm: Callable[[str], Any]) -> None:
    w = on_fake_slurm(WARM)
    (w.folder / "train.py").write_text(TRAIN)
    w.succeed("--submitit-pack-wait-s", "0.5")
    assert [w.read(f"out/{i}") for i in range(6)] == [f"r{i}" for i in range(6)]
    assert not (w.folder / "by_itself").exists() and len(set(w.read("processes").split())) < 6


def test_one_member_is_cancelled_by_name(
    tmp_path: Path, fake_slurm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake_slurm.env["PATH"])
    journal = Journal(tmp_path / "folder")
    made = batch(journal.root, 3)
    claim(made.path, 1, "9_0")
    (fake_slurm.folder / "jobs").mkdir()
    said = stop.cancel(journal.folder, ["run0", "run1", "other"])
    assert said.splitlines() == [
        "other: no job of this name is queued or running.",
        "run0: cancelled.",
        "run1: cancelled.",
    ]
    assert made.claimed_by(0) == TOMBSTONE and made.fenced(1) and made.claimed_by(2) is None
    assert not any(call.startswith("scancel") for call in fake_slurm.calls)


def test_batches_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task reads its batch's description: of ten thousand jobs that would be as much work as the jobs."""
    monkeypatch.setattr(desk_module, "LARGEST_BATCH", 4)
    desk = Desk(Counting(), 60, lambda message: None, lambda: True)
    for number in range(10):
        made = desk.open_batch("g", lambda: Batch(tmp_path, "b", "slurm", ONE, {}, str(tmp_path)))
        made.tasks.append(batch(tmp_path, 1).tasks[0])
        desk.add("g", Ticket(number, made, len(made.tasks) - 1, []))
    desk.seal()
    assert [len(piece.tickets) for piece in desk.pieces] == [4, 4, 2]
    assert [t.job for piece in desk.pieces for t in piece.tickets] == list(range(10))
