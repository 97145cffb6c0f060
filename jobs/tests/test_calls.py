"""What a limit on jobs in the queue costs in calls, counted on a made-up SLURM with a clock of its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_submitit import desk as desk_module
from snakemake_executor_plugin_submitit import watch as watch_module
from snakemake_executor_plugin_submitit.allocation.verdict import Verdict, write_verdict
from snakemake_executor_plugin_submitit.clusters.base import Cluster, State, States, TaskId
from snakemake_executor_plugin_submitit.clusters.limits import Allowance
from snakemake_executor_plugin_submitit.clusters.refusals import refusal
from snakemake_executor_plugin_submitit.desk import Desk
from snakemake_executor_plugin_submitit.executor import TICK_S
from snakemake_executor_plugin_submitit.journal import Batch, Task
from snakemake_executor_plugin_submitit.settings import POLL_FLOOR_S
from snakemake_executor_plugin_submitit.tickets import Ticket
from snakemake_executor_plugin_submitit.watch import LIMITED_INTERVAL_S, Watch

FULL = (
    "sbatch: error: AssocMaxSubmitJobLimit\n"
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)"
)
CPUS, MAX_ARRAY = 64, 101


class Limited(Cluster):
    """Runs 64 jobs at a time, each for as long as `seconds` says, and lets `limit` jobs into its queue."""

    def __init__(self, seconds: float, limit: int | None) -> None:
        self.seconds, self.limit = seconds, limit
        self.now, self.calls = 1000.0, Counter[str]()
        self.pending: list[tuple[Batch, int]] = []
        self.running: dict[TaskId, tuple[Batch, float]] = {}
        self.ending: dict[TaskId, float] = {}  # counted still, for a moment
        self.most = 0

    def queued(self) -> int:
        return len(self.pending) + len(self.running) + len(self.ending)

    def largest(self) -> int:
        self.calls["scontrol config"] = 1
        return MAX_ARRAY

    def objections(self, batch: Batch) -> list[str]:
        self.calls["sinfo"] = 1
        return []

    def submit(self, batch: Batch, first: int, count: int) -> str:
        self.calls["sbatch"] += 1
        if self.limit is not None and self.queued() + count > self.limit:
            raise refusal(FULL, count)
        self.pending += [(batch, index) for index in range(first, first + count)]
        self.most = max(self.most, self.queued())
        return str(self.calls["sbatch"])

    def allowance(self, batch: Batch, limit: str) -> Allowance | None:
        self.calls["scontrol assoc_mgr"] += 1
        return Allowance(limit, self.limit or 0, self.queued())

    def states(self, batches: Iterable[Batch]) -> States:
        self.calls["squeue"] += 1
        found = {(batch.token, index): State("PENDING", "1") for batch, index in self.pending}
        return found | {task: State("RUNNING", "1") for task in self.running}

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for task, (batch, end) in list(self.running.items()):
            if end <= self.now:
                write_verdict(batch.path, task[1], Verdict(0, "1", "n", 0.0, 1.0, 1, 0, out_of_memory=False))
                del self.running[task]
                self.ending[task] = self.now + 0.8
        self.ending = {task: gone for task, gone in self.ending.items() if gone > self.now}
        while self.pending and len(self.running) < CPUS:
            batch, index = self.pending.pop(0)
            # Ends are spread a little, as they are wherever jobs really run.
            self.running[batch.token, index] = batch, self.now + self.seconds * (1 + (index * 7 % 10) / 50)

    def find(self, batch: Batch, first: int) -> str | None:
        raise AssertionError("every answer arrives")

    def ended(self, tasks: Mapping[TaskId, str]) -> States:
        raise AssertionError("squeue forgets nothing")

    def cancel(self, job_ids: Iterable[str]) -> None: ...

    def task_id(self, job_id: str, offset: int) -> str:
        return f"{job_id}_{offset}"


def tickets(root: Path, count: int) -> list[Ticket]:
    tasks = [
        Task("k", "d", f"run{i}", "l", [], {}, [], [], [], tmpdir=False, nested=False, limit_s=None)
        for i in range(count)
    ]
    batch = Batch(root, "a", "slurm", {}, {}, str(root), tasks=tasks)
    return [Ticket(None, batch, i, [root / "log"]) for i in range(count)]


def calls(
    monkeypatch: pytest.MonkeyPatch, root: Path, cluster: Limited, count: int
) -> tuple[Counter[str], float]:
    """Run so many jobs as the executor's waiting thread does. Return the calls and how long it took."""
    for module in (desk_module, watch_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: cluster.now))
    found = tickets(root, count)
    desk = Desk(cluster, patience_s=60, say=lambda _: None, may_submit=lambda: True)
    watch = Watch(cluster, POLL_FLOOR_S, requeue_wait=False, latency_s=5, say=lambda _: None)
    desk.open_batch("g", lambda: found[0].batch)
    for ticket in found:
        desk.add("g", ticket)
    desk.seal()
    begun = cluster.now
    while waiting := [t for t in found if not t.over]:
        before = [t for t in waiting if t.job_id]
        desk.submit_due(others_running=bool(before), alive=before)
        submitted = [t for t in waiting if t.job_id]
        watch.limited = desk.limited
        if len(submitted) > len(before):
            watch.submitted()
        watch.look(submitted)
        cluster.pass_time(TICK_S)
    assert all(t.succeeded for t in found)
    return cluster.calls, cluster.now - begun


@pytest.mark.parametrize(
    ("count", "limit", "seconds"), [(300, 50, 5), (300, 50, 20), (90, 30, 20), (400, 100, 10)]
)
def test_a_limit_costs_at_most_half_as_many_calls_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, limit: int, seconds: float
) -> None:
    free, _ = calls(monkeypatch, tmp_path / "free", Limited(seconds, None), count)
    cluster = Limited(seconds, limit)
    limited, _ = calls(monkeypatch, tmp_path / "limited", cluster, count)
    assert cluster.most <= limit and limited["scontrol assoc_mgr"] == 1
    assert limited.total() <= 1.5 * free.total(), (free, limited)


@pytest.mark.parametrize(("count", "limit", "seconds"), [(90, 30, 1), (60, 7, 60)])
def test_a_narrow_limit_costs_what_its_parts_and_its_time_cost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, limit: int, seconds: float
) -> None:
    """Very short jobs need a submission for each part; jobs that a limit makes wait for long are asked about."""
    found, lasted = calls(monkeypatch, tmp_path, Limited(seconds, limit), count)
    parts = max(math.ceil(count / (0.75 * limit)), math.ceil(lasted / 15))  # part of the places, or 15 s
    assert found["sbatch"] <= 1 + parts  # one is refused
    assert found["squeue"] <= 1 + lasted / LIMITED_INTERVAL_S + 1.2 * seconds / POLL_FLOOR_S


def test_a_limit_does_not_put_off_what_became_of_a_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Asked seldom; once a job is seen over without a verdict, it is settled as soon as ever."""
    cluster = Limited(1000, 2)
    for module in (desk_module, watch_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: cluster.now))
    (ticket, *_) = found = tickets(tmp_path, 2)
    ticket.batch.write_intent()
    watch = Watch(cluster, POLL_FLOOR_S, requeue_wait=False, latency_s=5, say=lambda _: None)
    watch.limited = True
    for one in found:
        one.job_id = f"1_{one.index}"
    watch.submitted()
    monkeypatch.setattr(
        cluster,
        "states",
        lambda _: {ticket.id: State("CANCELLED", "1_0"), found[1].id: State("RUNNING", "1_1")},
    )
    begun = cluster.now
    while not ticket.over:
        cluster.now += TICK_S
        watch.look(found)
    assert cluster.now - begun <= POLL_FLOOR_S + watch_module.SHORT_GRACE_S + POLL_FLOOR_S
