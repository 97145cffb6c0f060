"""Preempt the tasks of a sweep on a private SLURM, a thousand times: none may fail, be lost, or be done twice.

    python tests/preemptions.py --mode requeue --preemptions 1000 --seed 1
    python tests/preemptions.py --mode cancel --preemptions 1000 --seed 1

KillWait is 5 s, and no user signal announces a preemption: SIGTERM comes to all processes of a task, to
one after the other. Tasks take it in every manner. Prints one line of JSON; the exit status is 1 where
anything went wrong. `tests/slurm/test_preemptions.py` is the short form.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).with_name("support")))

from private_slurm.cluster import Cluster
from private_slurm.sweep import Sweep

KILL_WAIT_S = 5
# How commands take SIGTERM. All of them wait for `finish`, and leave a line when they are done.
WAIT = "until [ -e finish ]; do sleep 1; done"
KINDS = {
    "dies": WAIT,
    "saves": f"bash -c 'trap \"exit 4\" TERM; {WAIT}'",
    "fails": f"bash -c 'trap \"exit 1\" TERM; {WAIT}'",
    "ignores": f"bash -c 'trap \"\" TERM; {WAIT}'",
    "pipes": f"{{{{ echo up; {WAIT}; }}}} | tee /dev/null",
}
RULE = """
rule {kind}:
    output: "out/{kind}.{{i}}"
    resources: array_label="sweep", mem_mb=50, runtime=600
    shell: r'''echo start >> starts/{kind}.{{wildcards.i}}
{command}
echo done >> done/{kind}.{{wildcards.i}}; touch {{output}}'''
"""
PREEMPTED = re.compile(r"preempted JobId=\S+ .*to reclaim resources")


def snakefile(tasks: int) -> str:
    """Return a workflow of so many tasks, of each kind equally many."""
    names = [f"out/{kind}.{i}" for i in range(tasks // len(KINDS)) for kind in KINDS]
    rules = [RULE.format(kind=kind, command=command) for kind, command in KINDS.items()]
    return "\n".join([f"rule all:\n    input: {names}", *rules])


def configure(cluster: Cluster, mode: str) -> str:
    """Let `low` be preempted in this mode, by SIGTERM alone. Return the configuration as it was."""
    configuration = cluster.dir / "slurm.conf"
    before = configuration.read_text()
    changed = before.replace("SlurmctldParameters=preempt_send_user_signal\n", "")
    changed = re.sub(r"KillWait=\d+", f"KillWait={KILL_WAIT_S}", changed)
    changed = changed.replace("PartitionName=low ", f"PartitionName=low PreemptMode={mode.upper()} ")
    reconfigure(cluster, changed)
    return before


def reconfigure(cluster: Cluster, text: str) -> None:
    """Give every daemon another slurm.conf."""
    (cluster.dir / "slurm.conf").write_text(text)
    cluster.run("scontrol", "reconfigure")
    time.sleep(1)


def count(cluster: Cluster) -> int:
    """Return how many preemptions the controller has told of."""
    return len(PREEMPTED.findall((cluster.dir / "log/slurmctld.log").read_text()))


def preempt(cluster: Cluster, draw: random.Random) -> None:
    """Take one node or both, for a second."""
    nodes = draw.choice(["1", "2", "2"])
    wanted = ["-p", "high", f"-N{nodes}", "--exclusive", "-o", "/dev/null", "-t", "1", "--wrap", "sleep 1"]
    job = cluster.run("sbatch", "--parsable", *wanted).strip()
    cluster.wait_until("it has had its nodes", lambda: job not in queued(cluster), 300)


def queued(cluster: Cluster) -> list[str]:
    return cluster.run("squeue", "-h", "-o", "%A", check=False).split()


def running(cluster: Cluster) -> int:
    return len(cluster.run("squeue", "-h", "-p", "low", "-t", "R", "-r", "-o", "%A", check=False).split())


def drive(cluster: Cluster, sweep: Sweep, preemptions: int, draw: random.Random, tasks: int) -> int:
    """Preempt at random moments, also while tasks are only starting, until it is enough; return how often."""
    before = count(cluster)
    while (done := count(cluster) - before) < preemptions:
        wanted = draw.uniform(0.5, 1.0) * tasks
        end = time.monotonic() + 90
        while running(cluster) < wanted and time.monotonic() < end and sweep.process.poll() is None:  # type: ignore[union-attr]
            time.sleep(0.3)
        if sweep.process.poll() is not None:  # type: ignore[union-attr]
            break
        time.sleep(draw.choice([0.0, draw.uniform(0, 1), draw.uniform(0, 4)]))
        # A busy machine may take longer for the end of a task than SLURM has patience for.
        cluster.run("scontrol", "update", "NodeName=node[1-2]", "State=RESUME", check=False)
        preempt(cluster, draw)
        print(f"{done} preempted, {len(sweep.verdicts())} verdicts", file=sys.stderr, flush=True)
    return count(cluster) - before


def lines(folder: Path, name: str) -> dict[str, int]:
    return {path.name: len(path.read_text().split()) for path in (folder / name).glob("*")}


def run(cluster: Cluster, folder: Path, mode: str, preemptions: int, tasks: int, seed: int) -> dict[str, Any]:
    """Run the sweep and preempt it; return what became of its tasks."""
    tasks = tasks // len(KINDS) * len(KINDS)
    before, begun = configure(cluster, mode), time.monotonic()
    sweep = Sweep(folder, cluster, snakefile(tasks), ["--submitit-max-requeues", "10000"])
    for name in ("starts", "done"):
        (folder / name).mkdir()
    try:
        sweep.start()
        happened = drive(cluster, sweep, preemptions, random.Random(seed), tasks)
        (folder / "finish").touch()
        status = sweep.wait(600)
    finally:
        sweep.clean_up()
        reconfigure(cluster, before)
    done = lines(folder, "done")
    return {
        "mode": mode,
        "seed": seed,
        "tasks": tasks,
        "preemptions": happened,
        "starts": sum(lines(folder, "starts").values()),
        "arrays": len(sweep.arrays()),
        "failed": len(re.findall(r"^\s*message: .* failed$", sweep.text(), re.M)),
        "lost": tasks - len(done),
        "doubled": sum(n > 1 for n in done.values()),
        "status": status,
        "seconds": round(time.monotonic() - begun),
    }


def good(result: dict[str, Any]) -> bool:
    """Return whether no task failed, was lost, or was done twice."""
    return not any(result[name] for name in ("failed", "lost", "doubled", "status"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--mode", choices=["requeue", "cancel"], required=True)
    parser.add_argument("--preemptions", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=60, help="at once; the private cluster has 64 CPUs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    with tempfile.TemporaryDirectory(prefix="preempt-") as folder:
        cluster = Cluster(Path(folder) / "c")
        cluster.up()
        try:
            where = Path(folder) / "work"
            result = run(cluster, where, options.mode, options.preemptions, options.tasks, options.seed)
            if not good(result):
                print((where / "output.txt").read_text()[-20_000:], file=sys.stderr)
        finally:
            cluster.down()
    print(json.dumps(result))
    return 0 if good(result) else 1


if __name__ == "__main__":
    sys.exit(main())
