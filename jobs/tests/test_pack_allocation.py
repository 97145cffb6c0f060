"""What an allocation does with the members of a pack, on a node that this machine stands in for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from snakemake_executor_plugin_submitit import allocation
from snakemake_executor_plugin_submitit.allocation import member, slots
from snakemake_executor_plugin_submitit.allocation.claim import TOMBSTONE, fence
from snakemake_executor_plugin_submitit.allocation.folder import BatchFolder
from snakemake_executor_plugin_submitit.allocation.verdict import Verdict, read_verdict

FOLDER = Path(allocation.__file__).parent
ALONE = {"slots": 2, "rounds": 4, "jobs_per_gpu": 1, "cpus": 1, "gpus": 1, "memory_mb": 0}
# Takes the memory that its argument says, in MB, and holds it.
TAKE = (
    "import sys, time; held = bytearray(int(sys.argv[1]) << 20); held[::4096] = held[::4096]; time.sleep(9)"
)


class PackRun:
    """A batch in a folder, and its allocation as SLURM's script starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.batch = folder, folder / "batch"
        BatchFolder(self.batch).create()
        tools = folder / "tools"
        tools.mkdir()
        (folder / "scontrol.shows").write_text("JobId=7 JobState=RUNNING Restarts=0")
        (tools / "scontrol").write_text(
            f'#!/bin/sh\necho "$@" >> {folder}/scontrol.calls\n'
            f'[ "$1" != show ] || exec cat {folder}/scontrol.shows\n'
        )
        (tools / "scontrol").chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7",
            "SLURM_ARRAY_TASK_ID": "0", "CUDA_VISIBLE_DEVICES": "4,5",
        }  # fmt: skip

    def describe(self, scripts: list[str], limit_s: float = 60, **pack: int) -> None:
        tasks = [
            {
                "label": f"run{i}", "log": f"logs/run{i}.log", "argv": ["bash", "-c", script], "env": {}, "inputs": [],
                "stale": [], "progress": [], "tmpdir": True, "limit_s": limit_s,
            }
            for i, script in enumerate(scripts)
        ]  # fmt: skip
        intent = {
            "cluster": "slurm", "folder": str(self.folder), "heartbeat_s": 0.5, "max_requeues": 2,
            "busy_exit_codes": [3], "latency_wait_s": 0.1, "signal_delay_s": 1, "pack": ALONE | pack, "tasks": tasks,
        }  # fmt: skip
        (self.batch / "intent.json").write_text(json.dumps(intent))
        self.count = len(tasks)

    def start(self, limit_s: int = 0, **env: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-I",
            "-S",
            str(FOLDER),
            str(self.batch),
            "0",
            str(self.count),
            str(limit_s),
        ]
        out = subprocess.PIPE
        return subprocess.Popen(command, env=self.env | env, stdout=out, stderr=subprocess.STDOUT, text=True)

    def run(self, limit_s: int = 0, **env: str) -> str:
        said, _ = self.start(limit_s, **env).communicate(timeout=120)
        return said

    def verdict(self, index: int) -> Verdict | None:
        return read_verdict(self.batch, index)

    def codes(self) -> list[int | None]:
        found = [self.verdict(index) for index in range(self.count)]
        return [None if verdict is None else verdict.exit_code for verdict in found]

    def calls(self) -> list[str]:
        path = self.folder / "scontrol.calls"
        return path.read_text().splitlines() if path.exists() else []

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def pack(tmp_path: Path) -> PackRun:
    return PackRun(tmp_path)


def test_a_list_longer_than_the_slots(pack: PackRun) -> None:
    """Each member once, with a GPU, a log and a verdict of its own; one that fails harms no neighbour."""
    script = (
        "echo $CUDA_VISIBLE_DEVICES >> gpu{0}; echo start {0} >> starts; sleep 0.3; echo said {0}; exit {1}"
    )
    pack.describe([script.format(i, 7 if i == 1 else 0) for i in range(5)])
    pack.run()
    assert pack.codes() == [0, 7, 0, 0, 0] and pack.calls() == []
    assert sorted(pack.read("starts").split("\n")) == sorted(["", *(f"start {i}" for i in range(5))])
    assert {pack.read(f"gpu{i}").strip() for i in range(5)} == {"4", "5"}
    assert all(f"said {i}\n" in pack.read(f"logs/run{i}.log") for i in range(5))
    assert all((v := pack.verdict(i)) is not None and v.job_id == "7_0" for i in range(5))


def test_two_allocations_share_one_list(pack: PackRun) -> None:
    pack.describe(["echo $SLURM_ARRAY_TASK_ID >> by; sleep 0.4"] * 8)
    running = [pack.start(SLURM_ARRAY_TASK_ID=str(place)) for place in range(2)]
    for one in running:
        one.communicate(timeout=120)
    assert pack.codes() == [0] * 8
    by = Counter(pack.read("by").split())
    assert by.total() == 8 and set(by) == {"0", "1"}


def test_buried_fenced_and_foreign_members_are_left_alone(pack: PackRun) -> None:
    pack.describe(["touch ran0", "touch ran1", "touch ran2", "touch ran3"])
    (pack.batch / "claims/0").write_text(TOMBSTONE)
    (pack.batch / "claims/1").write_text("7_1")
    fence(pack.batch, 2)
    pack.run()
    assert pack.codes() == [None, None, None, 0] and pack.calls() == []
    assert [p.name for p in sorted(pack.folder.glob("ran*"))] == ["ran3"]


def test_a_fenced_member_ends_and_its_neighbours_go_on(pack: PackRun) -> None:
    pack.describe(
        ["touch began && sleep 60 && touch ended", "until [ -e began ]; do sleep 0.1; done; sleep 2"]
    )
    running = pack.start()
    while not (pack.folder / "began").exists():
        assert running.poll() is None
        time.sleep(0.05)
    fence(pack.batch, 0)
    running.communicate(timeout=60)
    assert pack.codes() == [None, 0] and pack.calls() == [] and not (pack.folder / "ended").exists()
    assert not (pack.batch / "beats/0").exists(), "that is how others see that it has stopped"


def test_what_is_handed_back_requeues_the_allocation_once(pack: PackRun) -> None:
    """Busy members go back to the list. Only when nothing else is left does the allocation requeue, for both."""
    busy = "if [ -e was{0} ]; then exit 0; fi; touch was{0}; exit 3"
    pack.describe([busy.format(0), busy.format(1), "sleep 0.5; touch other", "touch last"])
    pack.run()
    assert pack.codes() == [None, None, 0, 0] and pack.calls() == ["requeue 7_0"]
    assert (pack.folder / "last").exists()
    pack.run()
    assert pack.codes() == [0] * 4 and pack.calls() == ["requeue 7_0"]
    verdict = pack.verdict(0)
    assert verdict is not None and verdict.lives == 2


@pytest.mark.slow
def test_starts_without_progress_are_counted_for_each(pack: PackRun) -> None:
    """Warned again and again, one gets on and one does not."""
    wait = "bash -c 'trap \"exit 4\" USR2; touch began{0}; while :; do sleep 0.1; done'"
    pack.describe([wait.format(0), f"echo >> save; {wait.format(1)}"])
    intent = json.loads((pack.batch / "intent.json").read_text())
    intent["tasks"][1]["progress"] = ["save"]
    (pack.batch / "intent.json").write_text(json.dumps(intent))
    for _ in range(4):
        for old in pack.folder.glob("began*"):
            old.unlink()
        running = pack.start()
        while running.poll() is None and len(list(pack.folder.glob("began*"))) < 2 - (
            pack.codes()[0] is not None
        ):
            time.sleep(0.05)
        running.send_signal(12)  # SIGUSR2, as SLURM sends it to the batch script
        running.communicate(timeout=60)
    verdict = pack.verdict(0)
    assert verdict is not None and verdict.reason == "requeued 3 times in a row without getting further"
    assert pack.verdict(1) is None and set(pack.calls()) == {"requeue 7_0"}


def test_told_to_end_by_slurm(pack: PackRun) -> None:
    """A preemption or a cancellation: SLURM is asked once for all, and nothing is concluded."""
    pack.describe(["touch began0; sleep 60", "touch began1; sleep 60", "touch never"])
    for shows, calls in (("COMPLETING", 0), ("RUNNING", 1)):
        (pack.folder / "scontrol.shows").write_text(f"JobId=7 JobState={shows} Restarts=0")
        (pack.folder / "scontrol.calls").unlink(missing_ok=True)
        for old in pack.folder.glob("began*"):
            old.unlink()
        running = pack.start()
        while len(list(pack.folder.glob("began*"))) < 2:
            assert running.poll() is None
            time.sleep(0.05)
        running.terminate()
        running.communicate(timeout=60)
        assert pack.codes() == [None] * 3 and not (pack.folder / "never").exists()
        assert pack.calls().count("requeue 7_0") == calls
        assert len([c for c in pack.calls() if c.startswith("show job")]) == 1


def test_refused_requeues_of_what_slurm_has_ended(pack: PackRun) -> None:
    pack.describe(["exit 3", "true"])
    (pack.folder / "scontrol.shows").write_text("JobId=7 JobState=COMPLETING Restarts=0")
    (pack.folder / "tools/scontrol").write_text(
        f'#!/bin/sh\n[ "$1" = show ] && exec cat {pack.folder}/scontrol.shows; echo "Requeue disabled" >&2; exit 1\n'
    )
    pack.run()
    assert pack.codes() == [None, 0], "SLURM has ended it by itself: it knows what follows"


def test_no_member_is_begun_that_cannot_end(pack: PackRun) -> None:
    """Each slot's first is: what the list has left goes back to the queue with the allocation."""
    pack.describe(["sleep 1.5"] * 3, limit_s=30, slots=2)
    pack.run(limit_s=31)
    assert sorted(pack.codes(), key=str) == [0, 0, None] and pack.calls() == ["requeue 7_0"]
    pack.run(limit_s=31)
    assert pack.codes() == [0, 0, 0]


def test_a_member_has_a_time_limit_of_its_own(pack: PackRun) -> None:
    pack.describe(["sleep 60", "sleep 4"], limit_s=2.0)
    (pack.batch / "intent.json").write_text(
        (pack.batch / "intent.json")
        .read_text()
        .replace('"limit_s": 2.0', '"limit_s": 50', 2)
        .replace('"limit_s": 50', '"limit_s": 2', 1)
    )
    pack.run(limit_s=600)
    verdict = pack.verdict(0)
    assert verdict is not None and "reached its time limit of 2 s" in verdict.reason
    assert pack.codes()[1] == 0


@pytest.mark.slow
def test_a_warning_before_anything_runs(pack: PackRun) -> None:
    """So it is where the warning comes earlier than the limit is long. It is passed on, and starts are counted."""
    heeds = "exec bash -c 'trap \"exit 4\" USR2; while :; do sleep 0.1; done'"
    pack.describe([heeds, heeds, "touch last"])
    for _ in range(5):
        pack.run(SUBMITIT_TOLD_EARLY="USR2")
    reasons = [(v := pack.verdict(i)) is not None and v.reason for i in range(2)]
    assert (
        reasons == ["requeued 3 times in a row without getting further"] * 2
        and (pack.folder / "last").exists()
    )


def test_what_a_member_leaves_behind_ends_with_it(pack: PackRun) -> None:
    """Also where its own process is killed: what it ran must not go on beside its next start."""
    pack.describe(["setsid sleep 77 & true", "echo $PPID > parent; sleep 78", "sleep 3"])
    running = pack.start()
    while not (pack.folder / "parent").exists() or not pack.read("parent").strip():
        assert running.poll() is None
        time.sleep(0.05)
    os.kill(int(pack.read("parent")), 9)
    running.communicate(timeout=60)
    assert pack.codes() == [0, None, 0] and pack.calls() == ["requeue 7_0"], "its starts are counted"
    left = [member.processes.arguments(int(path.name)) for path in Path("/proc").glob("[0-9]*")]
    assert [b"sleep", b"77"] not in left and [b"sleep", b"78"] not in left


def test_above_its_share_of_memory(pack: PackRun) -> None:
    """The watcher ends it, with its children; the neighbour below the same share goes on."""
    take = f"{sys.executable} -c '{TAKE}'"
    pack.describe([f"{take} 150 & wait; touch over", f"{take} 20 & sleep 3; kill %1; true"], memory_mb=100)
    pack.run()
    verdict = pack.verdict(0)
    assert verdict is not None and verdict.out_of_memory and verdict.exit_code == 137
    assert "its share" in verdict.reason and not (pack.folder / "over").exists() and pack.codes()[1] == 0


def test_shared_pages_are_counted_once() -> None:
    """Forked workers that only read what their parent has loaded take no memory of their own."""
    code = (
        "import os, sys, time; held = bytearray(60 << 20); held[::4096] = held[::4096]; "
        "[os.fork() or time.sleep(30) for _ in range(3)]; print('ready', flush=True); time.sleep(30)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        family = member.processes.family(parent.pid)
        assert sorted(family) == sorted(member.processes.descendants(parent.pid)) and len(family) > 1
        exact, summed = member.memory_kb(parent.pid), member.memory_kb(parent.pid, exactly_above=10**9)
        for pid in reversed(family):
            os.kill(pid, 9)
    assert 60 * 1024 < exact < 110 * 1024 < summed


def test_the_kernels_kill_of_a_neighbour_costs_no_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for a cgroup that counts a kill: whoever was near its share is to blame, others start again."""
    near, far = member.Membership("7_0", memory_mb=100), member.Membership("7_0", memory_mb=100)
    near.peak_kb = 95 * 1024
    assert near.reached_its_share(0) and not far.reached_its_share(50 * 1024)
    assert far.reached_its_share(99 * 1024), (
        "the kernel may be faster than the watcher; the largest process tells"
    )
    assert not member.Membership("7_0").reached_its_share(10**9), "no share was asked for"
    from snakemake_executor_plugin_submitit.allocation import task as task_module
    from snakemake_executor_plugin_submitit.allocation.child import Ending

    kills = iter([0, 1, 1, 1, 1, 1])
    monkeypatch.setattr(task_module, "oom_kills", lambda: next(kills))
    monkeypatch.setattr(task_module, "peak_rss_kb", lambda: 1024)
    BatchFolder(tmp_path).create()
    task = {"progress": [], "label": "a", "log": "none", "limit_s": 60}
    intent = {
        "tasks": [task], "cluster": "slurm", "folder": str(tmp_path), "heartbeat_s": 1, "busy_exit_codes": [],
    }  # fmt: skip
    start = task_module.Start(tmp_path, 0, intent, "7_0", far)
    killed = Ending(137, warned=False, terminated=False, fenced=False)
    assert task_module.decide(start._facts(killed)).action is task_module.Action.START_ANEW
    start.membership = near
    assert task_module.decide(start._facts(killed)).action is not task_module.Action.START_ANEW
    assert start._killed_for_memory(137)


FAULT = "RuntimeError: CUDA error: an illegal memory access was encountered"


@pytest.mark.slow
def test_a_fault_in_a_shared_gpu(pack: PackRun) -> None:
    """With a stand-in for MPS's daemon and its clients: all see the fault; each starts again alone on its GPU."""
    (pack.folder / "mps").mkdir()
    (pack.folder / "mps/control").touch()
    victim = f"[ -e again{{0}} ] && exit 0; touch again{{0}}; sleep 0.5; echo '{FAULT}'; exit 1"
    culprit = f"ls alone 2> /dev/null; sleep 0.5; echo '{FAULT}'; exit 1"
    pack.describe([victim.format(0), culprit, victim.format(2)], slots=3, jobs_per_gpu=3)
    pack.run(CUDA_MPS_PIPE_DIRECTORY=str(pack.folder / "mps"))
    assert pack.codes() == [0, 1, 0], "alone, only the culprit fails"
    lives = [(v := pack.verdict(i)) is not None and v.lives for i in range(3)]
    assert lives == [2, 2, 2]


def test_without_the_daemon_a_fault_is_the_jobs_own(pack: PackRun) -> None:
    pack.describe([f"echo '{FAULT}'; exit 1", "true"], jobs_per_gpu=2)
    pack.run(CUDA_MPS_PIPE_DIRECTORY=str(pack.folder / "nothing"))
    assert pack.codes() == [1, 0]


@pytest.mark.parametrize(
    ("sharers", "gpus", "cpus"), [(1, ["4", "5", "6", "7"], 6), (2, ["4", "4", "5", "5"], 3)]
)
def test_slots_divide_the_allocation(
    monkeypatch: pytest.MonkeyPatch, sharers: int, gpus: list[str], cpus: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.delenv("ROCR_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(100, 124)))
    made = slots.make(
        {"slots": 4, "rounds": 4, "jobs_per_gpu": sharers, "cpus": 6, "gpus": 1, "memory_mb": 8000}, 9
    )
    assert [slot.gpus for slot in made] == [(gpu,) for gpu in gpus]
    assert [(slot.cpus, slot.memory_mb) for slot in made] == [(cpus, 8000 // sharers)] * 4
    taken = [cpu for slot in made for cpu in slot.pinned]
    assert len(taken) == len(set(taken)) == 4 * cpus
    assert made[1].variables("7_0", 60.0)["CUDA_VISIBLE_DEVICES"] == gpus[1]


def test_gpus_that_slurm_has_not_named_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = slots.make({"slots": 2, "rounds": 1, "jobs_per_gpu": 1, "cpus": 1, "gpus": 2, "memory_mb": 0}, 2)
    assert [slot.gpus for slot in made] == [("0", "1"), ("2", "3")]
    without = slots.make(
        {"slots": 2, "rounds": 1, "jobs_per_gpu": 1, "cpus": 1, "gpus": 0, "memory_mb": 0}, 1
    )
    assert [slot.gpus for slot in without] == [()] and "CUDA_VISIBLE_DEVICES" not in without[0].variables(
        "a", None
    )


def test_measured_gpu_memory(tmp_path: Path) -> None:
    """With a stand-in for nvidia-smi."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, 75000, 81559'\necho '1, GPU-bb, 10, 81559'\n")
    tool.chmod(0o755)
    found = slots.gpu_memory(str(tool))
    assert found["0"] == found["GPU-aa"] == (75000, 81559) and found["1"] == (10, 81559)
    tool.write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    assert slots.gpu_memory(str(tool)) == slots.gpu_memory(None) == {}
