"""Members of a pack that one warm process runs, with a stand-in for a training that takes a list of runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snakemake_executor_plugin_submitit.allocation.claim import fence
from snakemake_executor_plugin_submitit.allocation.warm import exit_code
from snakemake_executor_plugin_submitit.clusters.base import State
from snakemake_executor_plugin_submitit.journal import Batch
from snakemake_executor_plugin_submitit.packs import of_member

from .conftest import Workflow
from .test_pack_allocation import PackRun

# Notes each process and each run; what to do is in the run's line.
STAND_IN = """
import json, os, signal, sys, time
told = []
signal.signal(signal.SIGUSR2, lambda *_: told.append(1))
open("processes", "a").write(f"{os.getpid()}\\n")
def ended(run, code):
    print(json.dumps({"run": run["run"], "out": run["out"], "exit_code": code}), flush=True)
for line in open(sys.argv[1]):
    run = json.loads(line)
    open("began", "a").write(run["run"] + "\\n")
    print("said", run["run"], flush=True)
    print("complained", run["run"], file=sys.stderr, flush=True)
    do = run["out"]
    if do == "crash":
        os._exit(9)
    if do == "quiet":
        sys.exit(0)
    if do == "unended":
        print('{"exit_code": 0}', end="", flush=True)
        os._exit(9)
    if do == "large":
        held = bytearray(150 << 20)
        held[::4096] = held[::4096]
        time.sleep(60)
    while do == "wait" and not told:
        time.sleep(0.05)
    if do == "hang":
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        time.sleep(60)
    if told:
        ended(run, 4)
        sys.exit(4)
    ended(run, {"fail": 7, "busy": 3}.get(do, 0))
"""


class WarmRun(PackRun):
    def describe_lines(self, what: list[str], limit_s: float = 60, **pack: int) -> None:
        self.describe(["exit 99"] * len(what), limit_s, **pack)
        (self.folder / "stand_in.py").write_text(STAND_IN)
        intent = json.loads((self.batch / "intent.json").read_text())
        for number, (task, do) in enumerate(zip(intent["tasks"], what, strict=True)):
            task["pack_line"] = json.dumps({"run": f"r{number}", "out": do})
            task["pack_command"] = f"{sys.executable} stand_in.py"
        (self.batch / "intent.json").write_text(json.dumps(intent))

    def began(self) -> list[str]:
        path = self.folder / "began"
        return path.read_text().split() if path.exists() else []

    def processes(self) -> int:
        return len(set(self.read("processes").split()))

    def until_began(self, running: Any, name: str) -> None:
        while name not in self.began():
            assert running.poll() is None
            time.sleep(0.05)


@pytest.fixture
def warm(tmp_path: Path) -> WarmRun:
    return WarmRun(tmp_path)


def test_few_processes_for_many_runs(warm: WarmRun) -> None:
    """Each has its own log and verdict; a failure among them is its own."""
    warm.describe_lines(["ok"] * 5 + ["fail"] + ["ok"] * 6)
    warm.run()
    assert warm.codes() == [0] * 5 + [7] + [0] * 6
    assert sorted(warm.began()) == sorted(f"r{i}" for i in range(12)) and warm.processes() < 12
    for i in range(12):
        log = warm.read(f"logs/run{i}.log")
        assert f"said r{i}\n" in log and f"complained r{i}\n" in log and log.count("said") == 1
        assert "exit_code" not in log
    assert not list(warm.batch.glob("warm-*"))


def test_a_process_that_dies_takes_one_run_with_it(warm: WarmRun) -> None:
    """So does one that ends without a word, or grows too large. What they had not come to begins in another."""
    what = ["ok", "crash", "ok", "quiet", "ok", "large", "ok", "unended"]
    warm.describe_lines(what, slots=1, memory_mb=100)
    warm.run()
    assert warm.codes() == [0, 9, 0, 1, 0, 137, 0, 0]
    assert "ended without saying how this job ended" in warm.read("logs/run3.log")
    large = warm.verdict(5)
    assert large is not None and large.out_of_memory and "its share" in large.reason
    assert sorted(warm.began()) == sorted(f"r{i}" for i in range(8)), "none twice"


def test_what_is_warned_goes_back_and_on(warm: WarmRun) -> None:
    warm.describe_lines(["ok", "wait", "ok", "ok"], slots=1)
    running = warm.start()
    warm.until_began(running, "r1")
    running.send_signal(12)  # SIGUSR2
    running.communicate(timeout=60)
    assert warm.codes()[:2] == [0, None] and warm.calls() == ["requeue 7_0"]
    intent = (warm.batch / "intent.json").read_text().replace('\\"wait\\"', '\\"ok\\"')
    (warm.batch / "intent.json").write_text(intent)
    warm.run()
    assert warm.codes() == [0] * 4
    lives = [(v := warm.verdict(i)) is not None and v.lives for i in range(4)]
    assert lives[0] == 1 and lives[1] == 2


def test_a_run_is_warned_before_its_own_limit(warm: WarmRun) -> None:
    """As it is alone: it saves and comes again. Those after it go on in another process, at once."""
    warm.describe_lines(["ok", "wait", "ok", "ok"], slots=1, limit_s=60)
    intent = json.loads((warm.batch / "intent.json").read_text())
    (warm.batch / "intent.json").write_text(json.dumps(intent | {"signal_delay_s": 54}))
    warm.run(limit_s=6000)
    assert warm.codes() == [0, None, 0, 0] and warm.calls() == ["requeue 7_0"]
    assert sorted(warm.began()) == ["r0", "r1", "r2", "r3"]


def test_one_of_a_line_runs_and_the_others_wait(warm: WarmRun) -> None:
    """As `status` shows them: all live, but the process is at one of them."""
    warm.describe_lines(["ok", "wait"] + ["ok"] * 6, slots=1)
    running = warm.start()
    warm.until_began(running, "r1")
    batch = Batch(warm.folder, "b", "slurm", {}, {}, "", token="batch")
    runs = State("RUNNING", "7_0", "n1")
    while of_member(batch, 1, runs).name != "RUNNING":
        assert running.poll() is None
        time.sleep(0.05)
    assert [batch.files.beat(index).exists() for index in range(1, 5)] == [True, True, True, False]
    assert {of_member(batch, index, runs).reason for index in (2, 3)} == {"waits in a pack"}
    running.send_signal(12)
    running.communicate(timeout=60)


def test_busy_runs_go_back(warm: WarmRun) -> None:
    warm.describe_lines(["busy", "ok", "ok"], slots=1)
    warm.run()
    assert warm.codes() == [None, 0, 0] and warm.calls() == ["requeue 7_0"]


def test_a_fenced_run_ends_and_the_others_go_on(warm: WarmRun) -> None:
    warm.describe_lines(["ok", "hang", "ok", "ok"], slots=1)
    running = warm.start()
    warm.until_began(running, "r1")
    fence(warm.batch, 1)
    running.communicate(timeout=60)
    assert warm.codes() == [0, None, 0, 0] and warm.calls() == []


def test_each_has_its_own_time_limit(warm: WarmRun) -> None:
    warm.describe_lines(["hang", "ok"], slots=1, limit_s=2)
    warm.run(limit_s=600)
    verdict = warm.verdict(0)
    assert verdict is not None and "time limit of 2 s" in verdict.reason and warm.codes()[1] == 0


def test_other_commands_run_by_themselves(warm: WarmRun) -> None:
    """A member without a line is a process of its own, and equal commands alone share one."""
    warm.describe_lines(["ok"] * 4, slots=1)
    intent = json.loads((warm.batch / "intent.json").read_text())
    intent["tasks"][1] |= {"pack_line": "", "argv": ["bash", "-c", "echo alone > alone"]}
    intent["tasks"][2]["pack_command"] += " "
    (warm.batch / "intent.json").write_text(json.dumps(intent))
    warm.run()
    assert warm.codes() == [0] * 4 and warm.read("alone") == "alone\n"
    assert sorted(warm.began()) == ["r0", "r2", "r3"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"run": "a", "exit_code": 3}', 3),
        (b'  {"exit_code": 0}\r', 0),
        (b'{"exit_code": "0"}', None),
        (b'{"exit_code": true}', None),
        (b'{"loss": 3}', None),
        (b"{half", None),
        (b"3", None),
        (b"\xff\xfe", None),
    ],
)
def test_lines_of_the_protocol(line: bytes, code: int | None) -> None:
    assert exit_code(line) == code


FILLED = """
import sys
rule all:
    input: expand("out of/{i}.txt", i=range(6))
rule train:
    output: "out of/{i}.txt"
    params: program=lambda w: f"{sys.executable} trainer.py --of {int(w.i) % 2}"
    resources:
        pack=2, runtime=5, pack_command="{params.program} --runs",
        pack_line='{"run": "two  blanks/{i}", "out": "{output}"}',
    shell: "exit 99"
"""
TRAINER = """
import json, os, sys
assert sys.argv[1] == "--of" and sys.argv[3] == "--runs"
for line in open(sys.argv[4]):
    run = json.loads(line)
    assert run["out"] == "{output}", "neither a wildcard nor a parameter: it stays as it is"
    number = run["run"].removeprefix("two  blanks/")
    assert int(number) % 2 == int(sys.argv[2])
    open(f"out of/{number}.txt", "w").write(str(os.getpid()))
    print(json.dumps({"exit_code": 0}), flush=True)
"""


def test_wildcards_and_parameters_are_filled_in(on_fake_slurm: Callable[[str], Workflow]) -> None:
    """Jobs whose parameters make equal commands share processes, and no others do."""
    workflow = on_fake_slurm(FILLED)
    (workflow.folder / "trainer.py").write_text(TRAINER)
    workflow.succeed("--submitit-pack-wait-s", "0", timeout=300)
    by = [workflow.read(f"out of/{i}.txt") for i in range(6)]
    assert len(set(by)) < 6 and not set(by[::2]) & set(by[1::2])
