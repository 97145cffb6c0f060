"""Snakemake itself as a job: it comes back, takes over what runs, and ends only when it is told to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

TRAINERS = """
rule all:
    input: expand("out/{i}.txt", i=range(2))
rule train:
    output: "out/{i}.txt"
    resources: job_label="run{i}", runtime=5
    shell: "python trainer.py {wildcards.i} 10000 0.2"
"""


def test_requeued_it_adopts_at_once_and_stopped_it_cancels(sweep: Callable[..., Any], cluster: Any) -> None:
    s = sweep(TRAINERS)

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake_executor_plugin_submitit", *words]
        return subprocess.run(command, cwd=s.folder, env=s.env, capture_output=True, text=True, check=False)

    def log() -> str:
        path = s.folder / ".snakemake/submitit/main/1/log"
        return path.read_text() if path.exists() else ""

    arguments = s.command()[3:]
    first = typed("submit", "--time", "10", "--mem", "500", "--", *arguments)
    assert first.returncode == 0 and "Submitted Snakemake as job" in first.stdout, first.stderr
    job = first.stdout.split("job ")[1].split(";")[0]
    s.until("both train", lambda: all(s.events(str(i)) for i in range(2)), 120)
    assert f"as job {job}" in typed("submit", "--", *arguments).stderr
    begun = time.time()
    cluster.run("scontrol", "requeue", job)
    s.until("it waits", lambda: [r for r in s.queue("%A %T") if r == [job, "PENDING"]], 90)
    time.sleep(3)  # a start in the second of the requeue fails
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")
    s.until("it takes over", lambda: log().count("running already") == 2, 120)
    assert "held this folder" not in log() and "may be gone" not in log(), f"waited since {begun}"
    assert all(len(s.events(str(i))) == 1 for i in range(2)), "they were never disturbed"
    stopped = typed("submit", "--stop")
    assert "Stopped Snakemake" in stopped.stdout, stopped.stderr
    s.until("nothing is left", lambda: s.queue() == [], 60)
    assert not any("done" in event for i in range(2) for event in s.events(str(i)))
    assert "stopped" in typed("status").stdout
