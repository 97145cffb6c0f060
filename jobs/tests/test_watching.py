"""Getting past sbatch and following jobs to their end, with a cluster and a clock made up for it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit import again
from snakemake_executor_plugin_submitit import desk as desk_module
from snakemake_executor_plugin_submitit import watch as watch_module
from snakemake_executor_plugin_submitit.allocation import record
from snakemake_executor_plugin_submitit.allocation.claim import Life, claim
from snakemake_executor_plugin_submitit.allocation.verdict import Verdict, write_verdict
from snakemake_executor_plugin_submitit.clusters.base import Cluster, NoAnswer, Refused, State, States, TaskId
from snakemake_executor_plugin_submitit.clusters.slurm import SlurmCluster
from snakemake_executor_plugin_submitit.desk import Desk
from snakemake_executor_plugin_submitit.journal import Batch, Task
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.tickets import MOST_RELEASES, Ticket
from snakemake_executor_plugin_submitit.watch import Watch


class Clock:
    """`time.monotonic` that a test sets forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        fake = SimpleNamespace(monotonic=lambda: self.now, time=time.time)
        monkeypatch.setattr(desk_module, "time", fake)
        monkeypatch.setattr(watch_module, "time", fake)


class Scripted(Cluster):
    """Answers what the test says, and counts the questions."""

    def __init__(self) -> None:
        self.answers: list[Any] = []  # to submissions: job ids or Refused
        self.known: dict[TaskId, State] = {}
        self.accounting: dict[TaskId, State] = {}
        self.silent = False
        self.questions = 0
        self.submissions: list[tuple[int, int]] = []
        self.hurried: list[str] = []
        self.released: list[str] = []

    def largest(self) -> int:
        return 4

    def submit(self, batch: Batch, first: int, count: int) -> str:
        answer = self.answers.pop(0) if self.answers else f"{10 + len(self.submissions)}"
        if isinstance(answer, Exception):
            raise answer
        self.submissions.append((first, count))
        return str(answer)

    def find(self, batch: Batch, first: int) -> str | None:
        return None

    def states(self, batches: Iterable[Batch]) -> States:
        self.questions += 1
        if self.silent:
            raise NoAnswer("down")
        return dict(self.known)

    def ended(self, tasks: Mapping[TaskId, str]) -> States:
        if not self.accounting:
            raise NoAnswer("sacct is not on PATH")
        return {task: self.accounting[task] for task in tasks if task in self.accounting}

    def cancel(self, job_ids: Iterable[str]) -> None: ...

    def hurry(self, job_ids: Iterable[str]) -> None:
        self.hurried += job_ids

    def release(self, job_ids: Iterable[str]) -> None:
        self.released += job_ids

    def task_id(self, job_id: str, offset: int) -> str:
        return f"{job_id}_{offset}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def cluster() -> Scripted:
    return Scripted()


def tickets(root: Path, count: int) -> list[Ticket]:
    task = {
        "key": "k",
        "digest": "d",
        "log": "l",
        "argv": [],
        "env": {},
        "inputs": [],
        "stale": [],
        "progress": [],
    }
    tasks = [Task(label=f"run{i}", tmpdir=False, nested=False, limit_s=None, **task) for i in range(count)]  # type: ignore[arg-type]
    batch = Batch(root, "a", "slurm", {}, {}, str(root), tasks=tasks)
    batch.write_intent()
    return [Ticket(None, batch, i, [root / f"{i}.log"]) for i in range(count)]


def on_desk(cluster: Scripted, found: list[Ticket]) -> tuple[Desk, list[str]]:
    said: list[str] = []
    desk = Desk(cluster, patience_s=100, say=said.append, may_submit=lambda: True)
    desk.open_batch("g", lambda: found[0].batch)
    for ticket in found:
        desk.add("g", ticket)
    desk.seal()
    return desk, said


def test_split_at_what_the_cluster_allows(tmp_path: Path, clock: Clock, cluster: Scripted) -> None:
    found = tickets(tmp_path, 10)
    desk, _ = on_desk(cluster, found)
    desk.submit_due(others_running=False)
    assert cluster.submissions == [(0, 4), (4, 4), (8, 2)] and desk.pieces == []
    assert [found[i].job_id for i in (0, 5, 9)] == ["10_0", "11_1", "12_1"]
    assert found[0].batch.arrays() == ["10", "11", "12"]


def test_patience_ends_only_where_nothing_else_could_make_room(
    tmp_path: Path, clock: Clock, cluster: Scripted
) -> None:
    found = tickets(tmp_path, 1)
    cluster.answers = [Refused("try later")] * 1000
    desk, said = on_desk(cluster, found)
    for _ in range(300):
        desk.submit_due(others_running=True)
        clock.now += 1
    assert not found[0].over and len(said) == 1, "the same trouble is told once"
    assert 4 < 1000 - len(cluster.answers) < 12, "with longer and longer pauses"
    for _ in range(300):
        desk.submit_due(others_running=False)
        clock.now += 1
    assert found[0].failure is not None and "try later (for 100 s)" in found[0].failure
    assert found[0].batch.claimed_by(0) == "tombstone", "should it have gone through, it must not start"


def test_nothing_is_submitted_without_the_lease(tmp_path: Path, clock: Clock, cluster: Scripted) -> None:
    desk, _ = on_desk(cluster, tickets(tmp_path, 1))
    desk.may_submit = lambda: False
    desk.submit_due(others_running=False)
    assert cluster.submissions == [] and len(desk.drop()) == 1


def test_an_intent_that_cannot_be_written_holds_nothing_up(
    tmp_path: Path, clock: Clock, cluster: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the second of two batches: the first is submitted, once; the second when there is room."""
    one, two = tickets(tmp_path, 2), tickets(tmp_path, 1)
    said: list[str] = []
    desk = Desk(cluster, patience_s=100, say=said.append, may_submit=lambda: True)
    for found in (one, two):
        desk.open_batch(found[0].batch.token, lambda found=found: found[0].batch)  # type: ignore[misc]
        for ticket in found:
            desk.add(ticket.batch.token, ticket)

    def full(batch: Batch) -> None:
        if batch is two[0].batch:
            raise OSError(28, "No space left on device", "a name that differs")

    with monkeypatch.context() as disk:
        disk.setattr(Batch, "write_intent", full)
        for _ in range(3):
            desk.seal()
            desk.submit_due(others_running=False)
    assert cluster.submissions == [(0, 2)] and len([line for line in said if "No space" in line]) == 1
    assert desk.unsubmitted() == two
    desk.seal()
    desk.submit_due(others_running=False)
    assert cluster.submissions == [(0, 2), (0, 1)] and desk.unsubmitted() == []


def test_a_script_that_cannot_be_written_is_tried_again(
    tmp_path: Path, clock: Clock, cluster: Scripted
) -> None:
    cluster.answers = [OSError(28, "No space left on device")]
    desk, said = on_desk(cluster, tickets(tmp_path, 6))
    desk.submit_due(others_running=False)
    clock.now += 5
    desk.submit_due(others_running=False)
    assert sorted(cluster.submissions) == [(0, 4), (4, 2)] and "No space left" in said[0]


class Following:
    """A watch over some tickets, ticking twice a second as the executor does."""

    def __init__(self, root: Path, clock: Clock, cluster: Scripted, count: int = 1) -> None:
        self.clock, self.cluster, self.said = clock, cluster, list[str]()
        self.tickets = tickets(root, count)
        for i, ticket in enumerate(self.tickets):
            ticket.job_id = f"10_{i}"
        self.watch = Watch(cluster, 5.0, requeue_wait=False, latency_s=5.0, say=self.said.append)
        self.watch.changed()

    def all_are(self, name: str, reason: str = "") -> None:
        self.cluster.known = {t.id: State(name, t.job_id, "n1", reason) for t in self.tickets}

    def run(self, seconds: float) -> None:
        for _ in range(int(2 * seconds)):
            self.clock.now += 0.5
            self.watch.look(self.tickets)


def verdict(code: int) -> Verdict:
    return Verdict(code, "10_0", "n1", 0.0, 1.0, 1, 1024, False)


@pytest.fixture
def following(tmp_path: Path, clock: Clock, cluster: Scripted) -> Following:
    return Following(tmp_path, clock, cluster)


def test_polls_at_most_every_five_seconds_and_ever_less(following: Following) -> None:
    following.all_are("RUNNING")
    following.run(60)
    assert 8 <= following.cluster.questions <= 12
    following.run(3600)
    before = following.cluster.questions
    following.run(3600)
    assert following.cluster.questions - before <= 61


def test_verdict_is_seen_without_a_question(following: Following) -> None:
    write_verdict(following.tickets[0].batch.path, 0, verdict(0))
    following.run(0.5)
    assert following.tickets[0].succeeded and following.cluster.questions == 0


def test_killed_command_waits_for_what_slurm_says(following: Following) -> None:
    """Exit code 137 may be for its memory; SLURM says so a moment later."""
    following.all_are("RUNNING")
    write_verdict(following.tickets[0].batch.path, 0, verdict(137))
    following.run(4)
    assert not following.tickets[0].over
    following.all_are("OUT_OF_MEMORY")
    following.run(6)
    assert "OUT_OF_MEMORY" in (following.tickets[0].failure or "")


@pytest.mark.parametrize("name", ["PENDING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "COMPLETING"])
def test_these_are_no_ends(following: Following, name: str) -> None:
    following.all_are(name)
    following.run(600)
    assert not following.tickets[0].over


@pytest.mark.parametrize("name", ["CANCELLED", "TIMEOUT", "FAILED", "COMPLETED"])
def test_end_without_a_verdict_fails_after_a_grace(following: Following, name: str) -> None:
    claim(following.tickets[0].batch.path, 0, "10")
    following.all_are("RUNNING")
    following.run(20)
    following.all_are(name)
    following.run(6)
    assert not following.tickets[0].over
    following.run(36)
    assert name in (following.tickets[0].failure or "")


@pytest.mark.parametrize("name", ["PREEMPTED", "NODE_FAIL", "BOOT_FAIL"])
def test_ended_by_slurm_becomes_pending_on_most_clusters(following: Following, name: str) -> None:
    following.all_are(name)
    following.run(20)
    following.all_are("PENDING")
    following.run(200)
    assert not following.tickets[0].over and not following.tickets[0].displaced


@pytest.mark.parametrize("by", ["squeue", "accounting"])
@pytest.mark.parametrize("name", ["PREEMPTED", "NODE_FAIL", "BOOT_FAIL"])
def test_ended_by_slurm_for_good_is_no_failure(following: Following, name: str, by: str) -> None:
    ticket = following.tickets[0]
    following.all_are(name)
    if by == "accounting":
        following.cluster.accounting, following.cluster.known = following.cluster.known, {}
    following.run(90)
    assert ticket.displaced and not ticket.over and not ticket.batch.fenced(0)


@pytest.mark.parametrize(
    ("code", "interrupted", "state", "displaced"),
    [
        (143, False, "PREEMPTED", True),
        (143, False, "FAILED", False),
        (4, True, "FAILED", True),  # SLURM took it for the job's end
        (4, True, "CANCELLED", False),
        (0, False, "PREEMPTED", False),
    ],
)
def test_verdict_and_state_together(
    following: Following, code: int, interrupted: bool, state: str, displaced: bool
) -> None:
    found = record.replace(verdict(code), interrupted=interrupted)
    following.all_are("COMPLETING")
    write_verdict(following.tickets[0].batch.path, 0, found)
    following.run(10)
    assert not following.tickets[0].over or code == 0
    following.all_are(state)
    following.run(20)
    assert following.tickets[0].displaced is displaced and following.tickets[0].over is not displaced


def test_moved_task_goes_on_where_it_was(following: Following, tmp_path: Path) -> None:
    """Its starts are counted on, the old task is fenced, and the old one's sign of life is in the new one's place."""
    ticket, registered = following.tickets[0], list[str]()
    script = ticket.batch.files.command(ticket.task.key)
    script.write_text("true")
    ticket.task.argv = ["bash", str(script)]
    ticket.job = SimpleNamespace(register=registered.append)
    old = ticket.batch
    claim(old.path, 0, "10")
    for _ in range(3):
        life = Life.begin(old.path, 0, "", 0.01)
    assert again.why_not(ticket, 3) == "" and "3 times" in again.why_not(ticket, 2)
    new = Batch(tmp_path, "a", "slurm", {}, {}, str(tmp_path))
    for _ in range(2):  # the disk may be full the first time
        again.prepare(ticket, new)
        assert again.why_not(ticket, 3) == "", "a fence takes nothing of what is known"
    again.move(ticket, new)
    new.write_intent()
    assert life.fenced() and registered == [new.token] * 2 and (ticket.batch, ticket.index) == (new, 0)
    assert ticket.task == replace(old.tasks[0], argv=["bash", str(new.files.command("k"))])
    assert new.files.command("k").read_text() == "true" and ticket.state is None
    assert new.files.beat(0).read_text() == old.files.beat(0).read_text()
    assert (Life.begin(new.path, 0, "", 0.01).number, Life.begin(new.path, 0, "x", 0.01).stalled) == (3, 0)
    assert old.files.beat(0).read_text().startswith("[2,")


def test_silence_ends_nothing_and_is_told_once(following: Following) -> None:
    following.cluster.silent = True
    following.run(1800)
    assert not following.tickets[0].over and len(following.said) == 1
    assert following.cluster.questions < 45
    following.cluster.silent = False
    following.all_are("RUNNING")
    following.run(120)
    assert not following.tickets[0].over and len(following.said) == 2


def test_forgotten_by_squeue_and_accounting(following: Following) -> None:
    following.run(10)
    assert not following.tickets[0].over
    following.run(200)
    assert "LOST" in (following.tickets[0].failure or "")


def test_forgotten_by_squeue_but_not_by_accounting(following: Following) -> None:
    ticket = following.tickets[0]
    following.cluster.accounting = {
        ticket.id: State("TIMEOUT", "10_0", "n7", elapsed="01:00:00", peak_memory="5M")
    }
    following.run(200)
    for word in ("TIMEOUT", "n7", "01:00:00", "5M"):
        assert word in (ticket.failure or "")


def test_requeued_jobs_are_hurried_but_not_those_that_wait_for_another(following: Following) -> None:
    following.all_are("PENDING", "BeginTime")
    (following.tickets[0].batch.path / "lives/0").write_text('{"waiting": true}')
    following.run(12)
    assert following.cluster.hurried == []
    (following.tickets[0].batch.path / "lives/0").write_text('{"waiting": false}')
    following.run(12)
    assert following.cluster.hurried == ["10_0"], "to be told again would put its start off"
    following.run(60)
    assert 2 <= len(following.cluster.hurried) <= 3


def test_held_after_a_failed_launch_is_let_go_a_few_times(following: Following) -> None:
    """SLURM holds a job whose node was lost while it started it, and nobody else would let it go."""
    following.all_are("PENDING", "launch failed requeued held")
    following.run(12)
    assert following.cluster.released and not following.said
    following.run(60)
    assert following.cluster.released == ["10_0"] * MOST_RELEASES
    assert [line for line in following.said if "is held: launch failed" in line] == following.said[-1:]


def test_what_a_person_holds_stays_held(following: Following) -> None:
    following.all_are("PENDING", "JobHeldUser")
    following.run(30)
    assert following.cluster.released == [] and "Release with `scontrol release 10`" in following.said[0]


def test_one_question_for_hundreds(tmp_path: Path, clock: Clock, cluster: Scripted) -> None:
    following = Following(tmp_path, clock, cluster, count=300)
    following.all_are("RUNNING")
    following.run(6)
    assert cluster.questions == 1


POLICY = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)"
)


@pytest.mark.parametrize(
    ("message", "count", "final", "too_many", "full"),
    [
        ("sbatch: error: invalid partition specified: x", 5, True, False, False),
        (
            "Batch job submission failed: Invalid account or account/partition combination specified",
            1, True, False, False,
        ),
        ("Batch job submission failed: Requested node configuration is not available", 1, True, False, False),
        (f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}", 5, False, False, True),
        (f"sbatch: error: AssocGrpSubmitJobsLimit\n{POLICY}", 1, False, False, True),
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", 1, False, False, True),
        (f"sbatch: error: MaxSubmitJobsPerAccount\n{POLICY}", 1, False, False, True),
        (f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}", 5, True, False, False),
        (f"sbatch: error: QOSMinGRES\n{POLICY}", 5, True, False, False),
        (f"sbatch: error: site: be nice\n{POLICY}", 5, False, False, True),
        (f"site: see MaxSubmitJobs\nsbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}", 5, True, False, False),
        (POLICY, 1, False, False, True),
        ("Batch job submission failed: Invalid job array specification", 5, False, True, False),
        ("Batch job submission failed: Socket timed out on send/recv operation", 5, False, False, False),
        ("Unable to contact slurm controller (connect failure)", 5, False, False, False),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", 5, False, False, True),
    ],
)  # fmt: skip
def test_kinds_of_refusal(
    monkeypatch: pytest.MonkeyPatch, message: str, count: int, final: bool, too_many: bool, full: bool
) -> None:
    monkeypatch.setattr(SlurmCluster, "offers", lambda self, said: "")
    refusal = SlurmCluster(ExecutorSettings()).refused(message, count)
    assert (refusal.final, refusal.too_many, refusal.full) == (final, too_many, full)
