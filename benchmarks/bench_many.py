"""Thousands of trivial jobs against the same arrays submitted by hand, on a private two-node SLURM.

    python benchmarks/bench_many.py [--jobs 1000] [--rounds 1] [--packed 8]

By hand means: an array of the same size for each `sbatch`, whose tasks start Python and run the same command, and
nobody who watches more than whether all results are there. Both in turn, in one run: wall time, every call of a SLURM
client, and the memory of Snakemake's main process. `--jobs 10000` takes an hour on two cores. `--packed N` adds the
executor with N jobs in an allocation.

Needs the Debian packages of jobs/tests/support/private_slurm.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_executor import COMMON, ROOT, SNAKEFILE, VARIANTS, count_calls

LARGEST_ARRAY = 1001  # SLURM's own default, as most clusters have it
MAX_JOBS = 30_000
# As much work as a task of the executor does on its node: Python starts, and runs the command in a shell.
BY_HAND = """\
#!/bin/bash
#SBATCH --array=0-{last}%256
#SBATCH --cpus-per-task=4
#SBATCH --mem=600
#SBATCH --time=10
#SBATCH --output=/dev/null
exec {python} -I -S -c 'import json, socket, subprocess, sys, tempfile; subprocess.run(["sh", "-c", sys.argv[1]])' \\
  "touch out/$(({first} + SLURM_ARRAY_TASK_ID))"
"""


@dataclass
class Result:
    seconds: float
    calls: Counter[str]
    megabytes: float  # of the process that submits and watches
    cpu_seconds: float  # of the same process, with the clients that it calls


def by_hand(folder: Path, jobs: int, env: dict[str, str]) -> None:
    """Submit arrays, and look at the folder until every result is there."""
    (folder / "out").mkdir()
    for first in range(0, jobs, LARGEST_ARRAY - 1):
        last = min(LARGEST_ARRAY - 1, jobs - first) - 1
        script = folder / f"array{first}.sh"
        script.write_text(BY_HAND.format(first=first, last=last, python=sys.executable))
        subprocess.run(["sbatch", script.name], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    while len(os.listdir(folder / "out")) < jobs:  # noqa: PTH208 (ten thousand paths are not needed)
        time.sleep(0.5)


def by_executor(folder: Path, jobs: int, env: dict[str, str], more: list[str]) -> tuple[float, float]:
    """Run the workflow and return the main process's largest memory in MB, and its seconds of a CPU."""
    (folder / "Snakefile").write_text(SNAKEFILE.format(jobs=jobs))
    common = ["10000" if word == "500" else word for word in COMMON]
    command = [sys.executable, "-m", "snakemake", *common, *VARIANTS["ours"], "--quiet", "all", *more]
    with (folder / "output").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or len(list((folder / "out").iterdir())) != jobs:
        raise RuntimeError(f"{jobs} jobs failed:\n{(folder / 'output').read_text()[-3000:]}")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def run(variant: str, jobs: int, cluster: Any, packed: int) -> Result:
    """One variant from nothing to the last result, on an empty cluster."""
    conf = cluster.env["SLURM_CONF"]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        tools = count_calls(folder / "count", conf)
        env = os.environ | {"SLURM_CONF": conf, "PATH": f"{tools}:{os.environ['PATH']}"}
        begun, main = time.perf_counter(), (0.0, 0.0)
        if variant == "by hand":
            by_hand(folder, jobs, env)
        else:
            more = ["--submitit-pack", str(packed)] if variant == "packed" else []
            main = by_executor(folder, jobs, env, more)
        seconds = time.perf_counter() - begun
        calls = Counter((folder / "count/calls").read_text().split())
        cluster.wait_until("the cluster is empty", cluster.idle, 120)
        return Result(seconds, calls, *main)


def enlarge(cluster: Any) -> None:
    """Let the cluster take as many jobs, in arrays as large, as most clusters do."""
    conf = cluster.dir / "slurm.conf"
    text = re.sub(
        r"MaxArraySize=\d+", f"MaxArraySize={LARGEST_ARRAY}\nMaxJobCount={MAX_JOBS}", conf.read_text()
    )
    conf.write_text(text)
    cluster.stop("slurmctld")
    cluster.start("slurmctld")
    cluster.wait_until("both nodes are idle", cluster.idle, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--packed", type=int, default=8, help="0: leave it out")
    options = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    sys.path.insert(0, str(ROOT / "jobs/tests/support"))
    import private_slurm

    if missing := private_slurm.missing_programs():
        print(f"many jobs: skipped, {', '.join(missing)} not found")
        return
    variants = ["by hand", "executor", *(["packed"] if options.packed else [])]
    results: dict[str, list[Result]] = {variant: [] for variant in variants}
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        cluster = private_slurm.Cluster(Path(name) / "c")
        cluster.up()
        try:
            enlarge(cluster)
            run("by hand", 2, cluster, 0)  # the first job of a new cluster waits for its scheduler
            for _ in range(options.rounds):
                for variant in variants:
                    results[variant].append(run(variant, options.jobs, cluster, options.packed))
        finally:
            cluster.down()
    hand = statistics.median(r.seconds for r in results["by hand"])
    for variant, found in results.items():
        seconds = statistics.median(r.seconds for r in found)
        detail = ", ".join(f"{n} {tool}" for tool, n in found[-1].calls.most_common())
        own = f", {found[-1].megabytes:.0f} MB, {found[-1].cpu_seconds:.1f} s of a CPU"
        memory = own if found[-1].megabytes else ""
        print(
            f"{options.jobs} jobs  {variant:<9} {seconds:7.1f} s ({seconds / hand:4.2f} x)  "
            f"{found[-1].calls.total()} SLURM calls: {detail}{memory}"
        )


if __name__ == "__main__":
    main()
