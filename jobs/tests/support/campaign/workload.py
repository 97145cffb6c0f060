"""The jobs of a campaign: like small trainings, they save, heed signals, go on where they were, and record it all."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Each result is a chain of digests over all steps: a step that was left out or done twice shows in it.
JOB = """\
import fcntl, hashlib, json, os, signal, sys, time
told = []
for number in (signal.SIGUSR2, signal.SIGTERM):
    signal.signal(number, lambda n, frame: told.append(signal.Signals(n).name))
def run(name, steps, pause, out):
    step, value = 0, name
    facts = os.open(f"facts/{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    def say(word, **more):
        task = f"{os.environ.get('SLURM_ARRAY_JOB_ID')}_{os.environ.get('SLURM_ARRAY_TASK_ID')}"
        node = os.environ.get("SLURMD_NODENAME")
        record = dict(word=word, time=time.time(), pid=os.getpid(), step=step, task=task, node=node, **more)
        os.write(facts, (json.dumps(record) + "\\n").encode())
    lock = os.open(f"locks/{name}", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("beside")  # another life of this job runs
    if os.path.exists(f"state/{name}"):
        step, value = json.load(open(f"state/{name}"))
    say("start")
    while step < steps and not told:
        time.sleep(pause)
        step += 1
        value = hashlib.sha256(f"{value}:{step}".encode()).hexdigest()
        with open(f"state/{name}.new", "w") as file:
            json.dump([step, value], file)
        os.replace(f"state/{name}.new", f"state/{name}")
    if step < steps:
        time.sleep(pause * 3)  # what saving takes
        say("saved", told=told)
        return 4
    with open(out + ".new", "w") as file:
        file.write(value)
    os.replace(out + ".new", out)
    say("done")
    os.close(lock)
    return 0
if sys.argv[1] != "--lines":
    sys.exit(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
for line in open(sys.argv[2]):
    if told:
        break
    code = run(**json.loads(line))
    print(json.dumps({"exit_code": code}), flush=True)
    if code:
        sys.exit(code)
"""

SNAKEFILE = """\
import json
JOBS = json.load(open("jobs.json"))
rule all:
    input: expand("out/{{name}}", name=JOBS)
rule work:
    input: lambda w: [f"out/{{name}}" for name in JOBS[w.name]["needs"]]
    output: "out/{{name}}"
    params: steps=lambda w: JOBS[w.name]["steps"], pause=lambda w: JOBS[w.name]["pause"]
    resources:
        slurm_partition=lambda w: JOBS[w.name]["partition"], job_label="{{name}}",
        array_label="campaign", progress="state/{{name}}"{warm}
    shell: "{python} -I -S job.py {{wildcards.name}} {{params.steps}} {{params.pause}} {{output}}"
"""
# What lets members of a pack share a process that runs them one after the other.
WARM = """,
        pack_command="{python} -I -S job.py --lines", pack_line=json.dumps(
            dict(name="{{name}}", steps="{{params.steps}}", pause="{{params.pause}}", out="out/{{name}}")
        ).replace('"{{params.steps}}"', "{{params.steps}}").replace('"{{params.pause}}"', "{{params.pause}}")"""
PARTITIONS = {"low": 9, "cut": 8, "graced": 3}  # how likely each is


@dataclass(frozen=True)
class Job:
    """One job: how many steps it has, how long each takes, and which jobs must be done before."""

    partition: str
    steps: int
    pause: float
    needs: list[str]


def make_jobs(draw: random.Random, count: int) -> dict[str, Job]:
    """Draw jobs of 3 to 16 seconds; the later half waits for jobs of the earlier."""
    jobs: dict[str, Job] = {}
    for number in range(count):
        partition = draw.choices(list(PARTITIONS), list(PARTITIONS.values()))[0]
        needs = [f"j{draw.randrange(count // 2):03}"] if number >= count // 2 else []
        jobs[f"j{number:03}"] = Job(partition, draw.randint(15, 80), 0.2, needs)
    return jobs


def result(name: str, job: Job) -> str:
    """Return what the job must come to."""
    value = name
    for step in range(1, job.steps + 1):
        value = hashlib.sha256(f"{value}:{step}".encode()).hexdigest()
    return value


def write(folder: Path, jobs: dict[str, Job], warm: bool = False) -> None:
    """Write the workflow into an empty folder. `warm` lets packed jobs share processes."""
    for name in ("facts", "locks", "state", "out"):
        (folder / name).mkdir(parents=True)
    (folder / "job.py").write_text(JOB)
    (folder / "jobs.json").write_text(json.dumps({name: asdict(job) for name, job in jobs.items()}))
    more = WARM.format(python=sys.executable) if warm else ""
    (folder / "Snakefile").write_text(SNAKEFILE.format(python=sys.executable, warm=more))


def records(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return what the job has recorded, in the order of time."""
    try:
        lines = (folder / "facts" / name).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]
