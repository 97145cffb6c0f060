"""What becomes of a task whose start SLURM ends: it comes back, alone, and nothing of it counts as a failure."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

FOUR = r"""
rule all:
    input: expand("out/{i}", i=range(4))
rule work:
    output: "out/{i}"
    shell:
        '''
        echo $SLURM_ARRAY_TASK_ID >> starts
        sleep $((3 - SLURM_ARRAY_TASK_ID))
        if [ ! -e was_busy/{wildcards.i} ]; then mkdir -p was_busy/{wildcards.i}; exit 3; fi
        touch {output}
        '''
"""

TRAIN = """
rule train:
    output: "out/t.txt"
    resources: job_label="t", progress="state/t", cpus_per_task={cpus}, slurm_partition="{partition}"
    shell: "{before} python trainer.py t {steps} 0.2"
"""


def train(steps: int = 40, before: str = "", cpus: int = 1, partition: str = "low") -> str:
    return TRAIN.format(**locals())


def told(events: list[str]) -> list[str]:
    return [event.split()[0] for event in events]


def went_on(events: list[str]) -> bool:
    """Whether each start began at the step that the one before had saved."""
    steps = [(e.split()[0], int(e.split()[1])) for e in events]
    return all(a[1] == b[1] for a, b in itertools.pairwise(steps) if b[0] == "start")


def take_both_nodes(cluster: Any) -> None:
    """Ask for both nodes whole for three seconds, in the partition of higher priority."""
    wanted = ("-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "-t", "1", "--wrap", "sleep 3")
    cluster.run("sbatch", *wanted)


@pytest.fixture
def cancelling(cluster: Any) -> Iterator[None]:
    """A partition whose jobs are cancelled when they are preempted, as some centres have it."""
    cluster.run("scontrol", "update", "PartitionName=low", "PreemptMode=CANCEL")
    yield
    cluster.run("scontrol", "update", "PartitionName=low", "PreemptMode=REQUEUE")


def test_a_task_requeues_itself_alone(sweep: Callable[..., Any]) -> None:
    """One after the other, beginning with the last, whose job id is its array's: SLURM takes that for all of it."""
    s = sweep(FOUR, "--submitit-busy-exit-codes", "3")
    s.start()
    s.until("all wait", lambda: len([r for r in s.queue("%F %K %T %r") if r[3] == "BeginTime"]) == 4)
    time.sleep(2)  # a start in the second of the requeue fails
    s.cluster.run("scontrol", "update", f"JobId={s.arrays()[0]}", "StartTime=now")
    assert s.wait() == 0, s.text()
    assert sorted((s.folder / "starts").read_text().split()) == sorted([*"01230123"])


def test_the_command_gets_the_signal_first(sweep: Callable[..., Any], cluster: Any) -> None:
    """It is dead before the allocation hears of anything; SLURM has requeued the task all the same."""
    dies = (
        "if [ ! -e died ]; then touch died; until [ -e go ]; do sleep 0.1; done; kill -TERM $$; sleep 9; fi;"
    )
    s = sweep(train(steps=5, before=dies).replace("job_label", 'array_label="a", job_label'))
    s.start("out/t.txt")
    s.until("it runs", lambda: (s.folder / "died").exists())
    (s.folder / "go").touch()
    time.sleep(0.5)
    assert s.verdicts() == []
    cluster.run("scontrol", "requeue", s.arrays()[0] + "_0")
    assert s.wait() == 0, s.text()
    assert [v["lives"] for v in s.verdicts()] == [2] and len(s.arrays()) == 1


def test_preempted_where_that_cancels(sweep: Callable[..., Any], cluster: Any, cancelling: None) -> None:
    """Twice, and no retry is spent, for there is none; the run goes on where it was."""
    s = sweep(train(cpus=32, steps=60))
    s.start("out/t.txt")
    for n in (1, 2):
        s.until(f"start {n}", lambda n=n: told(s.events("t")).count("start") == n, 90)
        time.sleep(1)
        take_both_nodes(cluster)
    assert s.wait(150) == 0, s.text()
    words = [word.replace("SIGUSR2", "SIGTERM") for word in told(s.events("t"))]  # both come, in either order
    assert words == ["start", "SIGTERM", "start", "SIGTERM", "start", "done"]
    assert went_on(s.events("t")) and len(s.arrays()) == 3
    assert s.text().count("submitted again: t (PREEMPTED)") == 2 and "failed" not in s.text()
    assert s.incomplete() == [] and s.verdicts()[-1]["lives"] == 3


def test_node_fails_under_a_job_that_may_not_be_requeued(sweep: Callable[..., Any], cluster: Any) -> None:
    """slurmd dies and its job lives on: the new task waits until the old copy has given way."""
    s = sweep(train(steps=10_000), "--submitit-heartbeat-s", "2")
    s.start("out/t.txt")
    s.until("it trains", lambda: s.events("t"))
    cluster.run("scontrol", "update", f"JobId={s.arrays()[0]}_0", "Requeue=0")
    node = s.until("it is on a node", lambda: [r for r in s.queue("%F %K %T %N") if r[2] == "RUNNING"])[0][3]
    cluster.stop(node, signal.SIGKILL)
    try:
        s.until("it starts anew", lambda: told(s.events("t")).count("start") == 2, 150)
        (s.folder / "finish").touch()  # the old copy would see it too, if it were still there
        assert s.wait(30) == 0, s.text()
    finally:
        cluster.start(node)
        cluster.wait_until("both nodes are idle again", cluster.idle, 60)
    assert told(s.events("t")).count("done") == 1 and "t (NODE_FAIL)" in s.text()
    assert [(v["lives"], v["node"] != node) for v in s.verdicts()] == [(2, True)]
