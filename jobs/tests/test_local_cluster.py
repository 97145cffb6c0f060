"""Workflows on the local cluster: what a plain job's surroundings are, and what goes nested."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit.clusters import local as local_cluster
from snakemake_executor_plugin_submitit.journal import Batch
from snakemake_executor_plugin_submitit.settings import ExecutorSettings, several_clusters
from snakemake_interface_common.exceptions import WorkflowError

KINDS = """
rule all:
    input: "deep/er/env", "piped", "temp", "params", "kept"
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

NESTED = """
rule all:
    input: "nested", "bench"
rule nested:
    input: "Snakefile"
    output: "nested"
    run: open(output[0], "w").write(open(input[0]).read())
rule bench:
    output: "bench"
    benchmark: "bench.txt"
    shell: "echo {resources.tmpdir} > {output}"
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


@pytest.mark.slow
def test_surroundings_of_commands(local: Callable[[str], Any]) -> None:
    """A plain command finds what Snakemake's own shell gives it."""
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
    assert w.read("params") == "{{curly}} 'quoted'", "old outputs are removed"
    assert not (w.folder / "kept").stat().st_mode & 0o222
    assert not any(task["nested"] for task in w.tasks())
    folder = w.folder / ".snakemake/submitit"
    assert folder.stat().st_mode & 0o077 == 0 and (folder / "batches").stat().st_mode & 0o077 == 0


@pytest.mark.slow  # in short: `test_a_failing_group_says_why`, which is nested, and `test_command.py`
def test_anything_unusual_goes_nested(local: Callable[[str], Any]) -> None:
    w = local(NESTED)
    w.succeed()
    assert w.read("nested") == w.read("Snakefile") and Path(w.read("bench").strip()).is_dir()
    assert all(task["nested"] for task in w.tasks())


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
    shell: "echo + $CUDA_VISIBLE_DEVICES >> log; sleep 1.5; echo - $CUDA_VISIBLE_DEVICES >> log; touch {output}"
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


def test_a_gpu_that_is_named_twice_is_shared_by_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    class Process:
        returncode: int | None = None

        def poll(self) -> int | None:
            return self.returncode

    processes = [Process() for _ in range(5)]

    def start(self: object, command: list[str]) -> SimpleNamespace:
        given.append(command[1].partition("=")[2])
        return SimpleNamespace(job_id=str(len(given)), _process=processes[len(given) - 1])

    monkeypatch.setattr(local_cluster.CommandExecutor, "start", start)
    cluster = local_cluster.LocalCluster(ExecutorSettings(cluster="local", local_cpus=8, local_gpus="0,0,1"))
    batch = Batch(tmp_path, "b", "local", {"cpus_per_task": 1, "gpus_per_node": 1}, {}, str(tmp_path))
    batch.path.mkdir(parents=True)
    cluster.submit(batch, 0, 5)
    assert given == ["0", "0", "1"]
    processes[1].returncode = processes[2].returncode = 0
    cluster.states([batch])
    assert given == ["0", "0", "1", "0", "1"]


@pytest.mark.slow
def test_debug_cluster_runs_in_the_foreground(local: Callable[[str], Any]) -> None:
    w = local('rule a:\n    output: "o"\n    shell: "echo seen at once; touch {output}"\n')
    w.cluster = "debug"
    assert "seen at once" in w.succeed("o")


@pytest.mark.slow
def test_misspelt_resource_names_the_valid_ones(local: Callable[[str], Any]) -> None:
    w = local(
        'rule a:\n    output: "o"\n    resources: slurm_partiton="x", why="new"\n    shell: "touch o"\n'
    )
    text = w.fail("o")
    assert "slurm_partiton" in text and "did you mean slurm_partition?" in text


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_second_command_is_told_in_one_line(local: Callable[[str], Any]) -> None:
    w = local(
        'rule a:\n    output: "a"\n    shell: "touch begun; until [ -e go ]; do sleep 0.2; done; touch a"\n'
    )
    first = w.start("a")
    w.until((w.folder / "begun").exists)
    text = w.fail("a")
    (w.folder / "go").touch()
    assert first.wait(60) == 0
    lines = text.splitlines()
    (said,) = (i for i, line in enumerate(lines) if "another sweep runs in this folder" in line)
    assert (
        lines[said].startswith("Error: ")
        and lines[said + 1 :] == []
        and "File " not in text.split("Building")[1]
    )


@pytest.mark.parametrize(
    ("snakefile", "env"),
    [
        ("    resources: clusters='a'", {}),
        pytest.param("", {"SBATCH_CLUSTERS": "a"}, marks=pytest.mark.slow),
        pytest.param("", {"SLURM_CLUSTERS": "a,b"}, marks=pytest.mark.slow),
    ],
    ids=["resource", "sbatch", "all clients"],
)
def test_several_clusters_end_in_one_clear_line(
    local: Callable[[str], Any], snakefile: str, env: dict[str, str]
) -> None:
    rule = f'rule a:\n    output: "{{i}}.a"\n{snakefile}\n    shell: "touch {{output}}"\n'
    w = local(rule)
    w.env |= env
    text = w.fail("1.a", "2.a", "3.a")
    assert text.count("the cluster of SLURM_CONF") == 1


def test_several_clusters_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CLUSTERS", "a")
    several_clusters()
    for name, value in (("SLURM_CLUSTERS", "a,b"), ("SBATCH_CLUSTERS", "a")):
        monkeypatch.delenv("SLURM_CLUSTERS", raising=False)
        monkeypatch.setenv(name, value)
        with pytest.raises(WorkflowError, match="the cluster of SLURM_CONF"):
            several_clusters()


@pytest.mark.slow
def test_a_failing_group_says_why(local: Callable[[str], Any]) -> None:
    text = local(
        'rule b:\n    input: "a"\n    output: "b"\n    group: "g"\n    shell: "echo cause >&2; exit 3"\n'
        'rule a:\n    output: "a"\n    group: "g"\n    shell: "touch a"\n'
    ).fail("b")
    assert "failed" in text and "exit code" in text and "| cause" in text


@pytest.mark.slow
def test_why_a_job_is_nested_is_said_on_request(on_fake_slurm: Callable[[str], Any], fake_slurm: Any) -> None:
    """When it is submitted: what comes of it is another matter, and this SLURM takes nothing."""
    fake_slurm.behave(sbatch=["error sbatch: error: invalid partition specified: x"] * 2)
    w = on_fake_slurm('rule a:\n    output: "{i}.a"\n    benchmark: "{i}.b"\n    shell: "touch {output}"\n')
    assert "a nested Snakemake" not in w.fail("1.a")
    text = w.fail("--submitit-explain-nested", "--", "2.a", "3.a")
    assert text.count("Rule a runs as a nested Snakemake: its rule uses benchmark.") == 1


@pytest.mark.slow  # in short: `temp` above
def test_temporary_outputs_need_no_nested_snakemake(local: Callable[[str], Any]) -> None:
    w = local(
        'rule b:\n    input: "a"\n    output: "b"\n    shell: "cat a > b"\n'
        'rule a:\n    output: temp("a")\n    shell: "echo x > a"\n'
    )
    w.succeed("b")
    assert w.read("b") == "x\n" and not (w.folder / "a").exists()
    assert [task["nested"] for task in w.tasks()] == [False, False]
