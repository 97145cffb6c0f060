"""Preemption, time limits, requeues, dead nodes: the run is told, saves, and goes on where it was."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

TRAIN = """
rule all:
    input: "out/{name}.txt"
rule train:
    output: "out/{name}.txt"
    resources:
        job_label="{name}", slurm_partition="{partition}", runtime={runtime}, progress="state/{name}",
        cpus_per_task={cpus}
    shell: "python trainer.py {name} {steps} 0.2"
"""


def train(name: str = "t", partition: str = "low", runtime: int = 5, steps: int = 40, cpus: int = 1) -> str:
    return TRAIN.format(**locals())


def words(events: list[str]) -> list[str]:
    return [event.split()[0] for event in events]


def went_on(events: list[str]) -> bool:
    """Whether each start began at the step that the one before had saved."""
    steps = [(e.split()[0], int(e.split()[1])) for e in events]
    pairs = itertools.pairwise(steps)
    return all(a[1] == b[1] for a, b in pairs if b[0] == "start") and steps[-1][0] == "done"


@pytest.fixture
def no_user_signal(cluster: Any) -> Iterator[None]:
    """SLURM without `preempt_send_user_signal`: it is SIGTERM that announces the end of a grace time."""
    configuration = cluster.dir / "slurm.conf"
    before = configuration.read_text()
    configuration.write_text(before.replace("SlurmctldParameters=preempt_send_user_signal\n", ""))
    cluster.run("scontrol", "reconfigure")
    yield
    configuration.write_text(before)
    cluster.run("scontrol", "reconfigure")


def test_preempted_with_a_grace_time_but_no_user_signal(
    sweep: Callable[..., Any], cluster: Any, no_user_signal: None
) -> None:
    """SLURM takes a job that ends within its grace for finished: it must requeue itself."""
    preempt(sweep, cluster, "graced", "SIGTERM")


@pytest.mark.parametrize(("partition", "told"), [("low", "SIGTERM SIGUSR2"), ("graced", "SIGUSR2")])
def test_preempted(sweep: Callable[..., Any], cluster: Any, partition: str, told: str) -> None:
    """A partition of higher priority takes the nodes; the run saves, waits, and goes on."""
    preempt(sweep, cluster, partition, told)


def preempt(sweep: Callable[..., Any], cluster: Any, partition: str, told: str) -> None:
    s = sweep(train(partition=partition, cpus=32, steps=10_000))
    s.start()
    s.until("it trains", lambda: s.events("t"))
    # Both nodes whole: nothing of the lower partition can stay.
    cluster.run(
        "sbatch", "-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3", "-t", "1"
    )
    s.until("it starts anew", lambda: words(s.events("t")).count("start") == 2, 120)
    (s.folder / "finish").touch()
    assert s.wait(150) == 0, s.text()
    first, signalled, *rest = words(s.events("t"))
    assert [first, *rest] == ["start", "start", "done"] and went_on(s.events("t"))
    assert signalled in told.split()  # without a grace time both may come, in either order
    assert len(s.arrays()) == 1


def test_time_limit(sweep: Callable[..., Any]) -> None:
    """SLURM's shortest limit is a minute; the warning comes 55 s (or more) before its end."""
    s = sweep(train(runtime=1, steps=10_000), "--submitit-signal-delay-s", "55")
    s.start()
    s.until("it starts anew", lambda: words(s.events("t")).count("start") == 2, 120)
    (s.folder / "finish").touch()
    assert s.wait(60) == 0, s.text()
    assert words(s.events("t"))[:3] == ["start", "SIGUSR2", "start"] and went_on(s.events("t"))
    assert len(s.arrays()) == 1


def test_requeues_without_progress_are_bounded(sweep: Callable[..., Any]) -> None:
    """A run that saves nothing new is not requeued for ever."""
    snakefile = (
        train().replace('progress="state/t"', 'progress="state/nothing"').replace("40 0.2", "6000 0.2")
    )
    s = sweep(snakefile.replace("python trainer.py", "rm -f state/t; python trainer.py"),
              "--submitit-max-requeues", "1")  # fmt: skip
    s.start()
    for starts in (1, 2):
        s.until(f"start {starts}", lambda n=starts: words(s.events("t")).count("start") == n)
        s.until("it runs", lambda: [r for r in s.queue() if r[2] == "RUNNING"])
        s.cluster.run("scancel", "--batch", "--signal=USR2", s.arrays()[0])
    assert s.wait() == 1
    assert "requeued 2 times in a row without getting further" in s.text()


def test_requeue_by_hand(sweep: Callable[..., Any], cluster: Any) -> None:
    s = sweep(train())
    s.start()
    s.until("it trains", lambda: s.events("t"))
    cluster.run("scontrol", "requeue", s.arrays()[0] + "_0")
    assert s.wait() == 0, s.text()
    assert words(s.events("t")) == ["start", "SIGTERM", "start", "done"] and went_on(s.events("t"))


def test_cancelled_by_hand(sweep: Callable[..., Any], cluster: Any) -> None:
    """One run is cancelled: it alone fails, says so, and is not tried again against its owner's will."""
    both = train().replace('"out/t.txt"\nrule train', 'expand("out/{n}.txt", n=["t", "u"])\nrule train')
    s = sweep(both.replace('"out/t.txt"', '"out/{n}.txt"').replace('="t"', "=lambda w: w.n")
              .replace("trainer.py t", "trainer.py {wildcards.n}"), "--retries", "1")  # fmt: skip
    s.start()
    s.until("both train", lambda: s.events("t") and s.events("u"))
    array = s.arrays()[0]
    index = next(r[1] for r in s.queue() if label(s, int(r[1])) == "t")
    cluster.run("scancel", f"{array}_{index}")
    assert s.wait() == 1
    assert "t failed" in s.text() and "CANCELLED - cancelled" in s.text()
    assert words(s.events("u")) == ["start", "done"]


def label(s: Any, index: int) -> str:
    return json.loads((s.batches()[0] / "intent.json").read_text())["tasks"][index]["label"]


def test_slurmd_restarts_under_a_run(sweep: Callable[..., Any], cluster: Any) -> None:
    s = sweep(train())
    s.start()
    s.until("it trains", lambda: s.events("t"))
    node = s.until("it is on a node", lambda: [r for r in s.queue("%F %K %T %N") if r[2] == "RUNNING"])[0][3]
    cluster.stop(node, signal.SIGKILL)
    cluster.start(node)
    assert s.wait() == 0, s.text()
    assert words(s.events("t")) == ["start", "done"]
    cluster.wait_until("both nodes are idle again", cluster.idle, 60)


def test_lost_node_with_a_living_copy(sweep: Callable[..., Any], cluster: Any) -> None:
    """slurmd dies and its job lives on: SLURM starts it anew elsewhere, and the old copy gives way."""
    s = sweep(train(steps=10_000), "--submitit-heartbeat-s", "2")
    s.start()
    s.until("it trains", lambda: s.events("t"))
    node = s.until("it is on a node", lambda: [r for r in s.queue("%F %K %T %N") if r[2] == "RUNNING"])[0][3]
    cluster.stop(node, signal.SIGKILL)
    try:
        s.until("it starts anew", lambda: words(s.events("t")).count("start") == 2, 150)
        (s.folder / "finish").touch()  # the old copy would see it too, if it were still there
        assert s.wait(30) == 0, s.text()
    finally:
        cluster.start(node)
        cluster.wait_until("both nodes are idle again", cluster.idle, 60)
    assert words(s.events("t")).count("done") == 1
    assert words(s.events("t")).count("start") == 2
    (verdict,) = s.verdicts()
    assert verdict["lives"] == 2 and verdict["node"] != node


def test_another_process_at_work(sweep: Callable[..., Any]) -> None:
    """Exit code 3 puts the run back into the queue, and counts as no failure."""
    s = sweep(
        """
rule busy:
    output: "out/x"
    shell: "if [ -e free ]; then touch {output}; else echo busy >> tries; exit 3; fi"
""",
        "--submitit-busy-exit-codes",
        "3",
    )
    s.start("out/x")
    s.until("it was tried", lambda: (s.folder / "tries").exists())
    s.until("it waits", lambda: [r for r in s.queue("%F %K %T %r") if r[3] == "BeginTime"])
    (s.folder / "free").touch()
    # A start in the second of its requeue fails.
    s.cluster.run("scontrol", "update", f"JobId={s.arrays()[0]}_0", "StartTime=now+3")
    assert s.wait() == 0, s.text()
    assert "failed" not in s.text()
