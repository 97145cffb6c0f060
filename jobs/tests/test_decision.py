"""What follows a start of a task: the whole table."""

from __future__ import annotations

from typing import Any

import pytest
from snakemake_executor_plugin_submitit.allocation.decision import Action, Facts, Slurm, decide

FAILED: dict[str, Any] = {
    "exit_code": 1, "warned": False, "terminated": False, "fenced": False, "busy": False, "elapsed_s": 10.0,
    "limit_s": 60.0, "on_slurm": True, "several_nodes": False,
}  # fmt: skip
OVER = {"elapsed_s": 57.0}
HERE = {"on_slurm": False}
BUSY = {"exit_code": 3, "busy": True}
WARNED = {"exit_code": 4, "warned": True}
TOLD_TO_END = {"exit_code": 143, "terminated": True}
SUCCEEDED = {"exit_code": 0}
KILLED = {"exit_code": 139}
RUNS, ENDED, SILENT = ({"slurm": answer} for answer in (Slurm.RUNS, Slurm.ENDED, Slurm.SILENT))

TABLE: list[tuple[str, dict[str, Any], Action]] = [
    ("a success", SUCCEEDED, Action.CONCLUDE),
    ("a success in spite of a warning", SUCCEEDED | {"warned": True}, Action.CONCLUDE),
    ("a success in spite of SIGTERM", SUCCEEDED | {"terminated": True}, Action.CONCLUDE),
    ("a failure", {}, Action.CONCLUDE),
    ("a failure near the limit", OVER, Action.CONCLUDE),
    ("a failure here", HERE, Action.CONCLUDE),
    ("killed by a signal", KILLED, Action.ASK),
    ("killed by a signal of its own", KILLED | RUNS, Action.CONCLUDE),
    ("killed by a signal that SLURM sent", KILLED | ENDED, Action.LEAVE),
    ("killed by a signal while SLURM is away", KILLED | SILENT, Action.CONCLUDE),
    ("killed by a signal here", KILLED | HERE, Action.CONCLUDE),
    ("killed by a signal, and a newer start took over", KILLED | {"fenced": True}, Action.LEAVE),
    ("a newer start took over", {"exit_code": 137, "fenced": True}, Action.LEAVE),
    ("a newer start took over from a success", SUCCEEDED | {"fenced": True}, Action.LEAVE),
    ("warned, saved, ended", WARNED, Action.REQUEUE),
    ("warned, saved, ended here", WARNED | HERE, Action.REQUEUE),
    ("warned, and ended by its limit", WARNED | TOLD_TO_END | OVER, Action.REQUEUE),
    ("warned, and ended by its limit here", WARNED | TOLD_TO_END | OVER | HERE, Action.REQUEUE),
    ("busy", BUSY, Action.REQUEUE),
    ("busy here", BUSY | HERE, Action.RUN_AGAIN),
    ("busy here and told to end", BUSY | HERE | {"terminated": True}, Action.LEAVE),
    ("busy on several nodes", BUSY | {"several_nodes": True}, Action.REQUEUE),
    ("told to end", TOLD_TO_END, Action.ASK),
    ("told to end near the limit", TOLD_TO_END | OVER, Action.ASK),
    ("warned and told to end, long before the limit", WARNED | TOLD_TO_END, Action.ASK),
    ("told to end without a limit", TOLD_TO_END | {"limit_s": None}, Action.ASK),
    ("told to end, within the grace of a preemption", TOLD_TO_END | RUNS, Action.REQUEUE),
    ("told to end, cancelled or preempted", TOLD_TO_END | ENDED, Action.LEAVE),
    ("told to end while SLURM is away", TOLD_TO_END | SILENT, Action.GIVE_BACK),
    ("told to end here", TOLD_TO_END | HERE, Action.LEAVE),
    ("the limit reached here", TOLD_TO_END | HERE | OVER, Action.CONCLUDE),
    ("a failure on several nodes", {"several_nodes": True}, Action.ASK),
    ("a failure of its own on several nodes", {"several_nodes": True} | RUNS, Action.CONCLUDE),
    ("a failure on several nodes while SLURM is away", {"several_nodes": True} | SILENT, Action.LEAVE),
    ("another node lost", {"several_nodes": True} | ENDED, Action.LEAVE),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "action"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_table(facts: dict[str, Any], action: Action) -> None:
    assert decide(Facts(**FAILED | facts)).action is action


def test_reasons_name_what_happened() -> None:
    def reason(**facts: Any) -> str:
        return decide(Facts(**FAILED | facts)).reason

    assert reason(**TOLD_TO_END | HERE | OVER) == "reached its time limit of 60 s"
    assert "newer start" in reason(fenced=True)
    assert "another node" in reason(several_nodes=True, **ENDED)
    assert reason() == ""


def test_slurm_is_asked_at_most_once() -> None:
    for name, facts, _ in TABLE:
        for answer in (RUNS, ENDED, SILENT):
            assert decide(Facts(**FAILED | facts | answer)).action is not Action.ASK, name
