"""Jobs side by side in one allocation, on nodes with 8 simulated GPUs: each is followed by itself, and ends once."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

EQUAL = """
rule all:
    input: expand("out/{{i}}", i=range({runs}))
rule work:
    output: "out/{{i}}"
    threads: 2
    resources: gpu=1, mem_mb=200, runtime={minutes}, pack={pack}, job_label="run{{i}}"
    shell:
        '''
        echo begin $CUDA_VISIBLE_DEVICES $SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID $(date +%s.%N) > note.{{wildcards.i}}
        sleep {seconds}
        echo end $CUDA_VISIBLE_DEVICES $SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID $(date +%s.%N) >> note.{{wildcards.i}}
        echo {{wildcards.i}} $OMP_NUM_THREADS {{threads}} > {{output}}; echo {{wildcards.i}} >> ran
        '''
"""
QUICK = ("--submitit-pack-wait-s", "1", "--submitit-heartbeat-s", "1")


def spans(s: Any, runs: int) -> list[tuple[str, str, float, float]]:
    """Of each run its GPU, its allocation, its begin and its end."""
    found = []
    for i in range(runs):
        lines = [line.split() for line in (s.folder / f"note.{i}").read_text().splitlines()]
        assert [line[0] for line in lines] == ["begin", "end"], f"run {i} was started more than once"
        found.append((lines[0][1], lines[0][2], float(lines[0][3]), float(lines[1][3])))
    return found


def check_slots(s: Any, runs: int, slots: int) -> float:
    """Each run once, never two on one GPU of an allocation. Return how busy the slots were while the list lasted."""
    found = spans(s, runs)
    assert Counter((s.folder / "ran").read_text().split()) == Counter(map(str, range(runs)))
    by_slot: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for gpu, allocation, begin, end in found:
        by_slot.setdefault((gpu, allocation), []).append((begin, end))
    assert len(by_slot) == slots
    for one in by_slot.values():
        one.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(one)), "two at once on a GPU"
    first, empty = min(f[2] for f in found), max(f[2] for f in found)  # the last begin leaves the list empty
    busy = sum(max(0.0, min(end, empty) - begin) for _, _, begin, end in found)
    return busy / (slots * (empty - first))


def test_equal_runs_on_eight_slots(sweep: Callable[..., Any]) -> None:
    """One allocation of eight GPUs for all; results are those of the same runs unpacked, to the bit."""
    s = sweep(EQUAL.format(runs=24, seconds=1, minutes=2, pack=8), *QUICK)
    s.succeed()
    print(f"busy {check_slots(s, 24, 8):.1%}")
    assert len(s.arrays()) == 1 and "24 jobs" in s.text() and "into 1 allocation" in s.text()
    assert {v["job_id"] for v in s.verdicts()} == {f"{s.arrays()[0]}_0"}
    alone = sweep(EQUAL.format(runs=24, seconds=0, minutes=2, pack=1), name="alone")
    alone.succeed("out/3", "out/20")
    for name in ("out/3", "out/20"):
        assert (s.folder / name).read_bytes() == (alone.folder / name).read_bytes()


@pytest.mark.slow
def test_the_slots_stay_busy(sweep: Callable[..., Any]) -> None:
    """64 equal runs of 30 s, from the first start until the list is empty."""
    s = sweep(EQUAL.format(runs=64, seconds=30, minutes=2, pack=8), "--submitit-pack-rounds", "8", *QUICK)
    s.succeed(timeout=900)
    busy = check_slots(s, 64, 8)
    print(f"busy {busy:.2%}")
    assert busy >= 0.95 and len(s.arrays()) == 1


TROUBLED = """
rule all:
    input: expand("out/{i}", i=range(20))
rule work:
    output: "out/{i}"
    resources: gpu=1, mem_mb=100, runtime=3, pack=4, job_label="run{i}"
    shell:
        '''
        echo {wildcards.i} >> begun
        if [ {wildcards.i} = 5 ]; then python large.py; fi
        if [ {wildcards.i} = 2 ]; then sleep 90; fi
        sleep 3; echo {wildcards.i} >> ran; touch {output}
        '''
"""
# Two processes of 70 MB: more than the share of 100 MB, less than twice as much. SLURM itself watches the whole job.
LARGE = """
import os, time
held = bytearray(70 << 20) if os.fork() else bytearray(b"x" * (70 << 20))
held[::4096] = b"y" * len(held[::4096])
time.sleep(4)
"""


def begun(s: Any) -> list[str]:
    path = s.folder / "begun"
    return path.read_text().split() if path.exists() else []


def test_one_killed_for_memory_one_cancelled_a_node_drained(sweep: Callable[..., Any], cluster: Any) -> None:
    """Every other run ends once. The killed one comes again with more memory in another pack; no allocation ends."""
    s = sweep(TROUBLED, *QUICK, "--retries", "1", "--keep-going", "--submitit-pack-rounds", "2")
    (s.folder / "large.py").write_text(LARGE)
    s.start("-p")
    try:
        s.until("it has begun", lambda: "2" in begun(s), 90)
        node = s.until("it is on a node", lambda: [r for r in s.queue("%F %K %T %N") if r[2] == "RUNNING"])[
            0
        ][3]
        cluster.run("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
        command = [sys.executable, "-m", "snakemake_executor_plugin_submitit"]
        said = subprocess.run(
            [*command, "cancel", "run2"], cwd=s.folder, env=s.env, capture_output=True, text=True, check=True
        )
        assert said.stdout == "run2: cancelled.\n"
        assert s.wait(240) == 1, s.text()
    finally:
        cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
    others = [str(i) for i in range(20) if i != 2]
    assert Counter((s.folder / "ran").read_text().split()) == Counter(others)
    assert Counter(begun(s)) == Counter([*others, "2", "5"]), "only what was killed began twice"
    assert "run5 failed" in s.text() and "OUT_OF_MEMORY" in s.text() and "retrying with 200 MB" in s.text()
    assert "run2 failed" in s.text() and s.text().count("CANCELLED") == 1
    ended = cluster.run("sacct", "-n", "-X", "-o", "State%20", "-j", ",".join(s.arrays())).split()
    assert ended and "CANCELLED" not in ended, "a member's cancellation is not its allocation's"


TRAINERS = """
rule all:
    input: expand("out/{i}.txt", i=range(4))
rule train:
    output: "out/{i}.txt"
    resources: job_label="run{i}", progress="state/{i}", runtime=5, pack=4, cpus_per_task={cpus}
    shell: "python trainer.py {wildcards.i} {steps} 0.2"
"""


def trainers(steps: int, cpus: int = 1) -> str:
    return TRAINERS.replace("{steps}", str(steps)).replace("{cpus}", str(cpus))


def told(s: Any, name: str) -> list[str]:
    return [event.split()[0] for event in s.events(name)]


def test_a_preempted_pack_goes_on_where_it_was(sweep: Callable[..., Any], cluster: Any) -> None:
    s = sweep(trainers(60, cpus=8), *QUICK)
    s.start()
    s.until("all train", lambda: all(s.events(str(i)) for i in range(4)), 90)
    time.sleep(1)
    wanted = ("-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "-t", "1", "--wrap", "sleep 3")
    cluster.run("sbatch", *wanted)
    assert s.wait(150) == 0, s.text()
    for i in map(str, range(4)):
        words = told(s, i)
        assert words.count("start") == 2 and words[-1] == "done" and words.count("done") == 1, words
    assert len(s.arrays()) == 1 and [v["lives"] for v in s.verdicts()] == [2] * 4
    assert s.incomplete() == []


def test_the_main_process_dies_and_one_member_has_changed(sweep: Callable[..., Any]) -> None:
    """The others are adopted where they run; the changed one is fenced there and comes anew; nothing is cancelled."""
    text = trainers(10_000)
    s = sweep(text, *QUICK)
    s.start()
    s.until("all train", lambda: all(s.events(str(i)) for i in range(4)), 90)
    s.kill()
    other = text.replace(
        'shell: "python', """params: more=lambda w: "echo new >> changed;" if w.i == "2" else ""
    shell: "{params.more} python"""
    )  # fmt: skip
    (s.folder / "Snakefile").write_text(other.replace('"{params.more} python', '"{params.more}python'))
    s.start("--rerun-triggers", "mtime")
    s.until("it comes anew", lambda: (s.folder / "changed").exists(), 90)
    s.until("it has begun", lambda: told(s, "2").count("start") == 2)
    (s.folder / "finish").touch()
    assert s.wait() == 0, s.text()
    assert [told(s, str(i)).count("start") for i in range(4)] == [1, 1, 2, 1]
    assert s.text().count("running already") == 3 and len(s.arrays()) == 2
    assert all(told(s, str(i)).count("done") == 1 for i in range(4))


def test_status_has_a_line_for_each_member(sweep: Callable[..., Any]) -> None:
    s = sweep(trainers(10_000).replace("range(4)", "range(6)"), *QUICK)
    s.start()
    s.until("four train", lambda: sum(bool(s.events(str(i))) for i in range(6)) == 4, 90)
    command = [sys.executable, "-m", "snakemake_executor_plugin_submitit", "status"]
    shown = subprocess.run(
        command, cwd=s.folder, env=s.env, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in shown.splitlines()[1:7]] == ["running"] * 4 + ["queued"] * 2, shown
    assert "4 running, 2 queued" in shown
    (s.folder / "finish").touch()
    assert s.wait() == 0, s.text()
