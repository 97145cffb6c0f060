"""Our executor against Snakemake's public one for SLURM, on a private two-node SLURM.

    python benchmarks/bench_executor.py [--quick] [--rounds N]

Trivial jobs (`touch`), both executors in turn in one run: wall time and every call of a SLURM client,
those inside allocations included (counted by wrappers on PATH). The public executor runs as shipped,
with its waiting times set to the shortest (1 s), and with its job arrays as well. `--quick` leaves
out the 200 jobs, which keep two cores busy for ten minutes.

Needs the Debian packages of jobs/tests/support/private_slurm, and `pip install snakemake-executor-plugin-slurm`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "srun", "sinfo", "sacctmgr", "sstat")

SNAKEFILE = """
rule all:
    input: expand("out/{{i}}", i=range({jobs}))
rule work:
    output: "out/{{i}}"
    threads: 4
    resources: mem_mb=600, runtime=10
    shell: "touch {{output}}"
"""

COMMON = [
    "--jobs",
    "500",
    "--max-jobs-per-timespan",
    "1000/1s",
    "--scheduler",
    "greedy",
    "--latency-wait",
    "5",
]
PUBLIC = ["--executor", "slurm", "--default-resources", "slurm_account=lab", "slurm_partition=low"]
SHORT_WAITS = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]
VARIANTS = {
    "ours": ["--executor", "submitit", "--nolock", "--rerun-incomplete"],
    "public": PUBLIC,
    "public, waits 1 s": [*PUBLIC, *SHORT_WAITS],
    "public, waits 1 s, arrays": [*PUBLIC, *SHORT_WAITS, "--slurm-array-jobs", "all"],
}


@dataclass
class Result:
    seconds: float
    calls: Counter[str]


def count_calls(folder: Path, slurm_conf: str) -> Path:
    """A folder of wrappers that note each call in FOLDER/calls and then run the real client.

    They name the configuration too: the public executor takes SLURM_CONF out of its environment.
    """
    tools = folder / "bin"
    tools.mkdir(parents=True)
    for name in TOOLS:
        if (real := shutil.which(name)) is not None:
            wrapper = tools / name
            wrapper.write_text(
                f'#!/bin/sh\necho {name} >> {folder}/calls\nSLURM_CONF={slurm_conf} exec {real} "$@"\n'
            )
            wrapper.chmod(0o755)
    return tools


def run(variant: str, jobs: int, slurm_conf: str) -> Result:
    """One workflow from nothing to its end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        tools = count_calls(folder / "count", slurm_conf)
        (folder / "Snakefile").write_text(SNAKEFILE.format(jobs=jobs))
        env = os.environ | {"SLURM_CONF": slurm_conf, "PATH": f"{tools}:{os.environ['PATH']}"}
        command = [sys.executable, "-m", "snakemake", *COMMON, *VARIANTS[variant]]
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if done.returncode or len(list((folder / "out").iterdir())) != jobs:
            raise RuntimeError(f"{variant} with {jobs} jobs failed:\n{done.stderr[-3000:]}")
        return Result(seconds, Counter((folder / "count/calls").read_text().split()))


def bench(jobs: int, variants: list[str], rounds: int, slurm_conf: str) -> None:
    """All variants in turn, `rounds` times; a line each."""
    results: dict[str, list[Result]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            results[variant].append(run(variant, jobs, slurm_conf))
    ours = statistics.median(r.seconds for r in results["ours"])
    our_calls = statistics.median(r.calls.total() for r in results["ours"])
    for variant, found in results.items():
        seconds = statistics.median(r.seconds for r in found)
        calls = statistics.median(r.calls.total() for r in found)
        detail = ", ".join(f"{n} {tool}" for tool, n in found[-1].calls.most_common())
        print(
            f"{jobs:4d} jobs  {variant:<26} {seconds:7.1f} s ({seconds / ours:5.1f} x)  "
            f"{calls:5.0f} SLURM calls ({calls / our_calls:5.1f} x): {detail}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        sys.exit("pip install snakemake-executor-plugin-slurm, which this compares with")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    sys.path.insert(0, str(ROOT / "jobs/tests/support"))
    import private_slurm

    if missing := private_slurm.missing_programs():
        print(f"executor: skipped, {', '.join(missing)} not found")
        return
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        cluster = private_slurm.Cluster(Path(name) / "c")
        cluster.up()
        try:
            conf = cluster.env["SLURM_CONF"]
            run("ours", 2, conf)  # the first job of a new cluster waits for its scheduler
            bench(20, list(VARIANTS), options.rounds, conf)
            if not options.quick:
                bench(200, ["ours", "public", "public, waits 1 s, arrays"], 1, conf)
        finally:
            cluster.down()


if __name__ == "__main__":
    main()
