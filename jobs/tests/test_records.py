"""The journal's cleaning, the failure block, `status` and `site`."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from snakemake_executor_plugin_submitit import failure, site, status
from snakemake_executor_plugin_submitit.__main__ import main
from snakemake_executor_plugin_submitit.allocation import record
from snakemake_executor_plugin_submitit.allocation.files import read_intent
from snakemake_executor_plugin_submitit.allocation.verdict import Verdict, write_verdict
from snakemake_executor_plugin_submitit.clusters.base import State
from snakemake_executor_plugin_submitit.journal import Batch, Journal, Task


def batch(journal: Journal, folder: Path, labels: list[str]) -> Batch:
    tasks = [
        Task(label, "digest", label, f"logs/{label}.log", [], {}, [], [], [], False, False, None)
        for label in labels
    ]
    made = Batch(journal.root, "sweep.train", "slurm", {}, {}, str(folder), tasks=tasks)
    made.write_intent()
    made.add_array("12", 0)
    return made


def verdict(code: int = 0, out_of_memory: bool = False) -> Verdict:
    return Verdict(code, "12_0", "n3", 0.0, 3700.0, 1, 2048 * 1024, out_of_memory)


def test_batches_are_read_as_they_were_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = batch(journal, tmp_path, ["a", "b"])
    (journal.root / "torn").mkdir()
    (found,) = journal.batches()
    assert vars(found) == vars(made)
    made.close(0)
    assert list(journal.open_tasks()) == [(made.token, "b")]


def test_an_allocation_reads_its_own_line_alone(tmp_path: Path) -> None:
    """Whatever stands in the others; and an earlier version's description, which was one line."""
    made = batch(Journal(tmp_path / "j"), tmp_path, ["a", "two\nlines, ]}", "c"])
    path, whole = made.files.intent, json.loads(made.files.intent.read_text())
    for index in range(3):
        found = read_intent(path, index)
        assert found == whole | {"tasks": {index: whole["tasks"][index]}}
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], "{torn", *lines[2:]]))
    assert (found := read_intent(path, 2)) is not None and found["tasks"][2]["label"] == "c"
    path.write_text(json.dumps(whole))
    assert (found := read_intent(path, 1)) is not None and found["tasks"] == {1: whole["tasks"][1]}
    assert read_intent(tmp_path / "none", 0) is None


def test_classes_of_an_allocation_are_as_dataclasses_make_them() -> None:
    def made(by: Any) -> Any:
        class One:
            code: int
            times: list[float] = by.field(default_factory=list, compare=False)
            word: str = "none"

        return by.dataclass(One)

    ours, theirs = made(record), made(dataclasses)
    for one in (ours, theirs):
        first, second = one(3), one(code=3, word="none", times=[1.0])
        assert first == second != one(4) and first.times == [] and one(3).times is not one(3).times
        assert by_name(one, first) == {"code": 3, "times": [], "word": "none"}
        for wrong in ({}, {"code": 1, "more": 2}):
            with pytest.raises(TypeError):
                one(**wrong)
        with pytest.raises(TypeError):
            one(3, code=3)
    assert record.replace(ours(3, word="a"), code=4) == ours(4, [], "a")
    assert repr(ours(3)) == repr(theirs(3)).rpartition(".")[2]


def by_name(one: Any, instance: Any) -> Any:
    return (dataclasses.asdict if dataclasses.is_dataclass(one) else record.asdict)(instance)


def test_a_buried_task_stays_buried_and_a_claimed_one_is_not_buried(tmp_path: Path) -> None:
    made = batch(Journal(tmp_path / "j"), tmp_path, ["a", "b"])
    (made.path / "claims/1").write_text("12")
    assert made.bury(0) and made.bury(0) and not made.bury(1)
    made.fence(1)
    assert made.fenced(1) and not made.fenced(0)


def test_cleaning_takes_only_what_is_old_and_dealt_with(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    old, unfinished, new = (batch(journal, tmp_path, [name]) for name in ("old", "unfinished", "new"))
    logs = tmp_path / "j/logs/sweep.train"
    logs.mkdir(parents=True)
    for name in ("old", "unfinished", "new"):
        (logs / f"{name}.log").touch()
    for made in (old, new):
        made.close(0)
    month_ago = time.time() - 31 * 86_400
    journal.clean(-1)
    for path in (*old.path.rglob("*"), old.path, unfinished.path, logs / "old.log", logs / "unfinished.log"):
        os.utime(path, (month_ago, month_ago))
    assert old.path.exists()
    journal.clean(30)
    assert not old.path.exists() and unfinished.path.exists() and new.path.exists()
    assert sorted(path.name for path in logs.iterdir()) == ["new.log", "unfinished.log"]


def test_failure_block(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("== run: job 12_0\n" + "\n".join(f"epoch {i}\rloss {i}" for i in range(40)) + "\n")
    block = failure.block("run", verdict(139), None, [log], [])
    for row in (
        "run failed",
        "exit code    139 (SIGSEGV)",
        "n3",
        "1:01:40",
        "2048 MB",
        "| loss 39",
        str(log),
    ):
        assert row in block
    assert "| loss 28" in block and "loss 27" not in block and "epoch" not in block
    block = failure.block("run", None, State("TIMEOUT", "12_0", "n3", elapsed="02:00:00"), [log], [])
    assert "TIMEOUT - ran into its time limit" in block and "02:00:00" in block
    # Whether a cancelled job lived to leave a verdict is chance; what is said is the same
    for found in (None, verdict(143)):
        assert "CANCELLED - cancelled" in failure.block(
            "run", found, State("CANCELLED", "1_0", "n3"), [log], []
        )
    assert "without leaving a verdict" not in failure.block(
        "run", verdict(1), State("FAILED", "1_0", ""), [log], []
    )


@pytest.mark.parametrize(
    ("code", "counted", "state", "said", "expected"),
    [
        (137, True, None, "", True),
        (137, False, "OUT_OF_MEMORY", "", True),
        (
            None,
            False,
            "FAILED",
            "slurmstepd: error: StepId=1.batch exceeded memory limit (2 > 1), being killed",
            True,
        ),
        (137, False, "FAILED", "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.batch", True),
        (137, False, "COMPLETED", "", False),
        (1, False, "COMPLETED", "oom-kill is a word", False),
    ],
)
def test_out_of_memory(
    tmp_path: Path, code: int | None, counted: bool, state: str | None, said: str, expected: bool
) -> None:
    (tmp_path / "boot").write_text(said)
    found = None if code is None else verdict(code, out_of_memory=counted)
    told = None if state is None else State(state, "12_0")
    assert failure.out_of_memory(found, told, [tmp_path / "boot"]) == expected


def test_status_lists_jobs_by_their_fate(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = batch(journal, tmp_path, ["waits", "runs", "done", "broke", "never", "gone"])
    write_verdict(made.path, 2, verdict())
    write_verdict(made.path, 3, verdict(1))
    made.bury(4)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/runs.log").write_text("== head\nepoch 3 loss 0.5\n")
    states = {
        (made.token, 0): State("PENDING", "12_0", reason="Priority"),
        (made.token, 1): State("RUNNING", "12_1", "n1", elapsed="5:00"),
    }
    lines = {line.label: line for line in status.collect([made], states, show_all=True)}
    assert {label: line.fate for label, line in lines.items()} == {
        "waits": "queued", "runs": "running", "done": "finished", "broke": "failed", "never": "replaced",
        "gone": "ended",
    }  # fmt: skip
    assert lines["waits"].last == "PENDING Priority"
    assert lines["runs"].cells == ("running", "runs", "12_1", "n1", "5:00", "epoch 3 loss 0.5")
    again = batch(journal, tmp_path, ["broke"])
    write_verdict(again.path, 0, verdict())
    fates = {line.label: line.fate for line in status.collect([again, made], states, show_all=True)}
    assert fates["broke"] == "finished", "the newest attempt counts"
    assert "done" not in {line.label for line in status.collect([made], states, show_all=False)}


def test_status_from_a_shell(
    tmp_path: Path, fake_slurm: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in fake_slurm.env.items():
        monkeypatch.setenv(name, value)
    assert main(["status", "--folder", str(tmp_path / "nothing")]) == 0
    assert "No jobs" in capsys.readouterr().out
    made = batch(Journal(tmp_path / "j"), tmp_path, ["a", "b"])
    write_verdict(made.path, 0, verdict())
    assert main(["status", "--all", "--folder", str(tmp_path / "j")]) == 0
    assert "1 ended, 1 finished" in capsys.readouterr().out
    fake_slurm.behave(squeue=["error slurm_load_jobs error: Unable to contact slurm controller"])
    assert main(["status", "--folder", str(tmp_path / "j")]) == 0
    assert "does not answer: slurm_load_jobs" in capsys.readouterr().out


def test_site_prints_lines_to_paste(
    fake_slurm: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    for name, value in fake_slurm.env.items():
        monkeypatch.setenv(name, value)
    assert main(["site"]) == 0
    text = capsys.readouterr().out
    assert "small (default): 3 nodes, 16 CPUs and 64000 MB each, time limit 1:00:00" in text
    pasted = yaml.safe_load(text[text.index("# For slurm/config.yaml") :])
    assert pasted == {
        "default-resources": {
            "slurm_partition": "big", "runtime": 1440, "gpu": 1, "gpu_model": "a100", "slurm_account": "lab",
        }
    }  # fmt: skip
    fake_slurm.behave(sacctmgr=["error sacctmgr: error: connection refused"])
    assert main(["site"]) == 0 and "Accounts: unknown" in capsys.readouterr().out
    fake_slurm.behave(sinfo=["error sinfo: error: no controller"])
    assert main(["site"]) == 1


@pytest.mark.parametrize(
    ("limit", "expected"), [("1-02:30:00", 1590), ("2:00:00", 120), ("30:00", 30), ("infinite", None)]
)
def test_minutes(limit: str, expected: int | None) -> None:
    assert site.minutes(limit) == expected
