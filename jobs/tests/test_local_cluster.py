"""Workflows on the local cluster: what a plain job's surroundings are, and what goes nested."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = """
rule all:
    input: "deep/er/env", "piped", "nested", "bench", "temp", "params", "kept"
rule env:
    input: ancient("Snakefile")
    output: "deep/er/env"
    log: "logs/env"
    threads: 2
    resources: job_label="the.run", why="a reason"
    shell: "echo threads=$OMP_NUM_THREADS tmp=$TMPDIR stdin=$(cat) in=$PWD > {output}; echo said >> {log}; echo spoken"
rule stops_in_pipes:
    output: touch("piped")
    shell: "! (set -o | grep pipefail | grep off)"
rule nested:
    input: "deep/er/env"
    output: "nested"
    run: open(output[0], "w").write(open(input[0]).read())
rule bench:
    output: "bench"
    benchmark: "bench.txt"
    shell: "echo {resources.tmpdir} > {output}"
rule temp:
    output: temp("temp")
    shell: "touch {output}"
rule params:
    output: "params"
    params: text=lambda wildcards: "{{curly}} 'quoted'"
    shell: "! [ -e params ] && printf %s {params.text:q} > {output}"
rule kept:
    output: protected("kept")
    shell: "touch {output}"
"""

FAILING = """
rule all:
    input: "bad", "pipe", "good"
rule bad:
    output: "bad"
    log: "bad.log"
    resources: job_label="the.bad.one"
    shell: "touch {output}; for i in 1 2 3; do echo line $i >> {log}; done; exit 7"
rule pipe:
    output: "pipe"
    shell: "false | cat; touch {output}"
rule good:
    output: "good"
    shell: "touch {output}"
"""


def test_surroundings_of_commands(local: Callable[[str], Any]) -> None:
    """A plain command finds what Snakemake's own shell gives it; anything unusual goes nested."""
    w = local(KINDS)
    (w.folder / "logs").mkdir()
    for old in ("params", "logs/env"):
        (w.folder / old).write_text("old\n")
    w.succeed("--forceall")
    words = dict(word.split("=", 1) for word in w.read("deep/er/env").split())
    assert words["threads"] == "2" and words["in"] == str(w.folder)
    assert words["stdin"] == "" and Path(words["tmp"]).is_dir()
    assert w.read("logs/env") == "said\n", "old logs are removed"
    log = w.read(".snakemake/submitit/logs/env/the.run.log")
    assert re.match(r"== the\.run: job \d+ on .*\nspoken\n$", log)
    assert w.read("nested") == w.read("deep/er/env") and Path(w.read("bench").strip()).is_dir()
    assert w.read("params") == "{{curly}} 'quoted'", "old outputs are removed"
    assert not (w.folder / "kept").stat().st_mode & 0o222
    nested = {task["label"] for task in w.tasks() if task["nested"]}
    assert nested == {"nested", "bench", "temp"}
    folder = w.folder / ".snakemake/submitit"
    assert folder.stat().st_mode & 0o077 == 0 and (folder / "batches").stat().st_mode & 0o077 == 0


def test_failures_are_told_and_stop_nobody_else(local: Callable[[str], Any]) -> None:
    w = local(FAILING)
    text = w.fail()
    block = text[text.index("the.bad.one failed") :]
    for row in ("state        FAILED", "exit code    7", "node  ", "elapsed  ", "peak memory", "| line 3"):
        assert row in block
    assert "bad.log" in block and "| line 1" in block
    assert (
        (w.folder / "good").exists() and not (w.folder / "bad").exists() and not (w.folder / "pipe").exists()
    )


def test_no_more_at_once_than_allowed_and_gpus_shared(local: Callable[[str], Any]) -> None:
    w = local(
        """
rule all:
    input: expand("{i}", i=range(6))
rule a:
    output: "{i}"
    resources: gpu=1
    shell: "echo + $CUDA_VISIBLE_DEVICES >> log; sleep 0.3; echo - $CUDA_VISIBLE_DEVICES >> log; touch {output}"
"""
    )
    w.succeed("--submitit-local-cpus", "3", "--submitit-local-gpus", "4,7")
    busy: set[str] = set()
    most = 0
    for line in w.read("log").splitlines():
        sign, gpu = line.split()
        assert (gpu not in busy) == (sign == "+"), "a GPU is one job's alone"
        busy ^= {gpu}
        most = max(most, len(busy))
    assert most == 2 and busy == set()


def test_debug_cluster_runs_in_the_foreground(local: Callable[[str], Any]) -> None:
    w = local('rule a:\n    output: "o"\n    shell: "echo seen at once; touch {output}"\n')
    w.cluster = "debug"
    assert "seen at once" in w.succeed("o")


def test_misspelt_resource_names_the_valid_ones(local: Callable[[str], Any]) -> None:
    w = local(
        'rule a:\n    output: "o"\n    resources: slurm_partiton="x", why="new"\n    shell: "touch o"\n'
    )
    text = w.fail("o")
    assert "slurm_partiton" in text and "did you mean slurm_partition?" in text


def test_time_limit_of_a_local_job(local: Callable[[str], Any]) -> None:
    """One minute is the shortest; the warning (here after a second) lets it end and go on."""
    w = local(
        """
rule a:
    output: "o"
    resources: runtime=1, progress="saved"
    shell: "if [ -e saved ]; then touch {output}; else exec python -c '"
           "import signal, sys; signal.signal(signal.SIGUSR2, lambda *a: (open(\\"saved\\", \\"w\\"), sys.exit(4)));"
           "[signal.pause() for _ in range(9)]'; fi"
"""
    )
    w.succeed("--submitit-signal-delay-s", "59", "o")
    assert (w.folder / "saved").exists()


def test_killed_main_process_is_taken_over(local: Callable[[str], Any]) -> None:
    """One job runs on, one has ended, one was waiting for room: each runs once."""
    w = local(
        """
rule all:
    input: expand("out{i}", i=range(3))
rule a:
    output: "out{i}"
    threads: 2
    shell: "echo {wildcards.i} >> ran; while [ ! -e go{wildcards.i} ]; do sleep 0.1; done; touch {output}"
"""
    )
    (w.folder / "go2").touch()
    options = ("--submitit-local-cpus", "4", "out0", "out1", "out2")
    first = w.start(*options)
    w.until(
        lambda: len((w.folder / "ran").read_text().split()) == 2 if (w.folder / "ran").exists() else False
    )
    first.kill()
    first.wait()
    second = w.start(*options)
    for name in ("go0", "go1"):
        (w.folder / name).touch()
    assert second.wait(40) == 0
    assert sorted(w.read("ran").split()) == ["0", "1", "2"]
