"""The executor against a SLURM that misbehaves on command."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TWENTY = """
rule all:
    input: expand("{i}", i=range(20))
rule a:
    output: "{i}"
    resources: array_label="sweep.a", job_label=lambda w: f"run.{w.i}"
    shell: "echo {wildcards.i} >> ran; touch {output}"
"""
ONE = 'rule a:\n    output: "o"\n    shell: "echo o >> ran; touch {output}"\n'
LOST = "lost"
TRANSIENT = "error sbatch: error: Batch job submission failed: Resource temporarily unavailable"


def each_once(w: Any, names: list[str]) -> bool:
    return Counter(w.read("ran").split()) == Counter(names)


def test_few_calls_for_many_jobs(on_fake_slurm: Callable[[str], Any], fake_slurm: Any) -> None:
    """20 jobs where an array holds 8: three arrays, named and marked, and hardly another call."""
    w = on_fake_slurm(TWENTY)
    w.succeed()
    assert each_once(w, [str(i) for i in range(20)])
    tools = Counter(call.split()[0] for call in fake_slurm.calls)
    # The public executor, where it is installed too, calls scontrol once when it is imported.
    assert tools["sbatch"] == 3 and tools["scontrol"] <= 2 and tools.total() <= 6
    script = next(w.folder.glob(".snakemake/submitit/batches/*/submission-8.sh")).read_text()
    assert "--job-name=sweep.a" in script and "--array=0-7%8" in script and "--requeue" in script
    assert "--comment" not in script and "--wckey" not in script and "--signal=B:USR2@120" in script
    assert "srun" not in script and re.search(
        r"^exec .*allocation/__main__.py .* \$\(\(8 \+ SLURM_ARRAY_TASK_ID\)\)$", script, re.M
    )


@pytest.mark.parametrize(
    "wrong", [pytest.param([TRANSIENT], marks=pytest.mark.slow), [LOST]], ids=["refused", "answer lost"]
)
def test_transient_errors_are_retried_after_a_look(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any, wrong: list[str]
) -> None:
    """The answer of a submission that went through may get lost: then it must not be repeated."""
    fake_slurm.behave(sbatch=wrong)
    w = on_fake_slurm(ONE)
    text = w.succeed("o")
    assert each_once(w, ["o"]) and "not submitted yet" in text
    submissions = [call for call in fake_slurm.calls if call.startswith("sbatch")]
    assert len(submissions) == (1 if wrong == [LOST] else 2)


@pytest.mark.parametrize("moment", [pytest.param("kill-before", marks=pytest.mark.slow), "kill-after"])
def test_killed_in_the_middle_of_a_submission(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any, moment: str
) -> None:
    fake_slurm.behave(sbatch=[moment])
    w = on_fake_slurm(TWENTY)
    assert w.run().returncode == -9
    w.succeed()
    assert each_once(w, [str(i) for i in range(20)])


def test_real_errors_are_told_with_what_there_is(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any
) -> None:
    fake_slurm.behave(sbatch=["error sbatch: error: invalid partition specified: larg"])
    text = on_fake_slurm(ONE).fail("o")
    assert "invalid partition specified: larg" in text and text.count("Its partitions are: big, small") == 1
    assert len([call for call in fake_slurm.calls if call.startswith("sbatch")]) == 1


POLICY = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)"
FULL = f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told", "count", "submissions"),
    [
        (FULL, True, 10, 3),
        pytest.param(FULL, True, 20, 5, marks=pytest.mark.slow),
        pytest.param(POLICY, False, 20, 12, marks=pytest.mark.slow),
    ],
    ids=["told, few", "told", "not told"],
)
def test_a_full_queue_is_waited_for_with_few_calls(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any, words: str, told: bool, count: int, submissions: int
) -> None:
    """`test_calls.py` counts them for other sweeps, on a clock of its own."""
    fake_slurm.limit(6, words, told)
    w = on_fake_slurm(TWENTY.replace("20", str(count)).replace("touch", "sleep 1; touch"))
    text = w.succeed()
    assert each_once(w, [str(i) for i in range(count)]) and text.count("wait for room") == 1
    tools = Counter(call.split()[0] for call in fake_slurm.calls)
    assert tools["sbatch"] <= submissions and tools["sacctmgr"] <= 1, fake_slurm.calls
    asked = [call for call in fake_slurm.calls if "assoc_mgr" in call]
    assert len(asked) == 1, "the limit is asked once"


@pytest.mark.parametrize(
    "line",
    [
        "QOSMaxWallDurationPerJobLimit",
        pytest.param("QOSMaxCpuPerJobLimit", marks=pytest.mark.slow),
        "",
    ],
)
def test_a_request_that_can_never_pass_ends_at_once(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any, line: str
) -> None:
    """The last line is that of a full queue. Where nothing else tells, a single job and an empty queue do."""
    fake_slurm.limit(0, f"sbatch: error: {line}\n{POLICY}" if line else POLICY, told=False)
    w = on_fake_slurm(TWENTY)
    text = w.fail()
    assert line in text and text.count("20 jobs (sweep.a) could not be submitted") == 1
    calls = Counter(call.split()[0] for call in fake_slurm.calls)
    assert calls["sbatch"] == (1 if line else 4) and calls["squeue"] == (0 if line else 1), fake_slurm.calls


@pytest.mark.slow
def test_absent_tools(on_fake_slurm: Callable[[str], Any], fake_slurm: Any, tmp_path: Path) -> None:
    """No SLURM at all is told at once; no sacct is no trouble."""
    fake_slurm.remove("sacct")
    w = on_fake_slurm(ONE)
    w.succeed("o")
    elsewhere = tmp_path / "bin"
    elsewhere.mkdir()
    for tool in Path("/usr/bin").iterdir():  # the machine may have a real SLURM
        if tool.name not in ("sbatch", "squeue", "scontrol"):
            (elsewhere / tool.name).symlink_to(tool)
    w.env["PATH"] = str(elsewhere)
    (w.folder / "o").unlink()
    assert "sbatch is not on PATH" in w.fail("o")


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True], ids=["cancel", "keep running"])
def test_interrupt_takes_one_scancel_or_none(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any, keep: bool
) -> None:
    w = on_fake_slurm(
        TWENTY.replace("echo", "n=0; until [ -e go -o $((n+=1)) -gt 300 ]; do sleep 0.3; done; echo")
    )
    process = w.start(*(["--submitit-keep-running"] if keep else []))
    w.until(lambda: len([call for call in fake_slurm.calls if call.startswith("sbatch")]) == 3)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 1
    cancelled = [call for call in fake_slurm.calls if call.startswith("scancel")]
    assert cancelled == ([] if keep else ["scancel 100 101 102"])
    if keep:
        again = w.start()
        w.until(lambda: "running already" in w.read("output"), 60)
        (w.folder / "go").touch()
        assert again.wait(60) == 0
        assert each_once(w, [str(i) for i in range(20)])


@pytest.mark.slow
def test_ended_by_slurm_again_and_again_without_progress(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any
) -> None:
    """It is submitted again once, which is no attempt of Snakemake's, and then it is too often."""
    w = on_fake_slurm(ONE.replace("echo", "echo up >> ups; sleep 60; echo"))
    process = w.start("o", "--retries", "0", "--submitit-max-requeues", "1")
    for n in range(2):
        w.until(lambda n=n: (w.folder / "ups").exists() and len(w.read("ups").split()) > n)  # type: ignore[misc]
        job = fake_slurm.folder / f"jobs/{100 + n}"
        (job / "ended0").write_text("PREEMPTED")
        os.killpg(int((job / "0").read_text()), signal.SIGKILL)
    assert process.wait(90) == 1
    text = w.read("output")
    assert len(re.findall(r"submitted again: .*\(PREEMPTED\)", text)) == 1 and text.count("a failed") == 1
    assert (
        "PREEMPTED - " in text
        and "ended by SLURM or requeued 2 times in a row without getting further" in text
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["o", "p"], ["2GB", "20M"]),
        (["--default-resources", "mem_mb=30", "--", "o"], ["30M"]),
        pytest.param(["--default-resources", "runtime=5", "--", "o"], ["2GB"], marks=pytest.mark.slow),
    ],
    ids=["by a rule", "by a default", "by neither"],
)
def test_the_profiles_memory_is_asked_for_where_nobody_names_any(
    on_fake_slurm: Callable[[str], Any], fake_slurm: Any, options: list[str], asked: list[str]
) -> None:
    """Snakemake has a default of its own always. A rule's request and a number among the defaults stand."""
    w = on_fake_slurm(ONE + ONE.replace("rule a", "rule b").replace('"o"', '"p"\n    resources: mem_mb=20'))
    w.succeed("--submitit-mem", "2GB", *options)
    scripts = w.folder.glob(".snakemake/submitit/batches/*/*.sh")
    found = re.findall("--mem=(.*)", "".join(script.read_text() for script in scripts))
    assert sorted(found) == sorted(asked)
