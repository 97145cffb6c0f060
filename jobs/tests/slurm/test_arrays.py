"""Hundreds of jobs become a few arrays, each job with what its rule asked for, each run once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

MANY = """
rule all:
    input: expand("out/{i}", i=range(120))
rule work:
    output: "out/{i}"
    resources: array_label="many.work", job_label=lambda w: f"run{w.i}"
    shell: "echo {wildcards.i} >> ran; touch {output}"
"""

RESOURCES = """
rule all:
    input: "out/small", "out/large", "out/gpu", "out/two_nodes"
rule small:
    output: "out/small"
    resources: runtime=7, mem_mb=150
    shell: "scontrol show job $SLURM_JOB_ID > {output}"
rule large:
    output: "out/large"
    threads: 5
    resources: runtime=65, mem_mb=300, slurm_partition="high", slurm_account="guests"
    shell: "scontrol show job $SLURM_JOB_ID > {output}; echo OMP=$OMP_NUM_THREADS >> {output}"
rule gpu:
    output: "out/gpu"
    resources: gpu=2
    shell: "scontrol show job $SLURM_JOB_ID > {output}; echo CUDA=$CUDA_VISIBLE_DEVICES >> {output}"
rule two_nodes:
    output: "out/two_nodes"
    resources: nodes=2, tasks=1
    shell: "srun -l echo $MASTER_ADDR:$MASTER_PORT > {output}"
"""


def test_split_at_the_largest_array_and_named(sweep: Callable[..., Any], cluster: Any) -> None:
    """120 jobs where an array holds 101: two arrays, each job once."""
    s = sweep(MANY)
    s.succeed()
    assert sorted(map(int, (s.folder / "ran").read_text().split())) == list(range(120))
    assert len(s.arrays()) == 2
    deadline = time.monotonic() + 60  # accounting hears of a job somewhat after it has ended
    while len(names := names_in_accounting(cluster, s.arrays())) < 120 and time.monotonic() < deadline:
        time.sleep(1)
    assert set(names) == {"many.work"} and len(names) == 120
    logs = s.folder / ".snakemake/submitit/logs/many.work"
    assert {p.name for p in logs.iterdir()} == {f"run{i}.log" for i in range(120)}
    assert s.incomplete() == []


def names_in_accounting(cluster: Any, arrays: list[str]) -> list[str]:
    """Of every job of the arrays that accounting knows as one by now."""
    return cluster.run("sacct", "-n", "-X", "-o", "JobName%30", "-j", ",".join(arrays)).split()


def test_each_once_at_j_50(sweep: Callable[..., Any]) -> None:
    s = sweep(MANY, "-j", "50")
    s.succeed()
    assert sorted(map(int, (s.folder / "ran").read_text().split())) == list(range(120))
    assert len(s.arrays()) < 40, "jobs that become free together belong together"


def test_resources_of_each_job(sweep: Callable[..., Any]) -> None:
    s = sweep(RESOURCES)
    s.succeed()
    small, large, gpu = ((s.folder / "out" / name).read_text() for name in ("small", "large", "gpu"))
    assert "TimeLimit=00:07:00" in small and "mem=150M" in small and "Partition=low" in small
    assert "TimeLimit=01:05:00" in large and "mem=300M" in large and "NumCPUs=5" in large
    assert "Partition=high" in large and "Account=guests" in large and "OMP=5" in large
    assert "gres/gpu=2" in gpu and "CUDA=0,1" in gpu
    ranks = dict(line.split(": ") for line in (s.folder / "out/two_nodes").read_text().splitlines())
    assert set(ranks) == {"0", "1"} and len(set(ranks.values())) == 1
    assert re.fullmatch(r"node[12]:\d+", ranks["0"])


def test_second_start_has_nothing_to_do(sweep: Callable[..., Any]) -> None:
    s = sweep(RESOURCES)
    s.succeed("out/small")
    before = s.arrays()
    s.succeed("out/small")
    assert s.arrays() == before and "Nothing to be done" in s.text()
