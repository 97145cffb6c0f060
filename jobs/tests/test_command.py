"""Which jobs run as their plain shell command, and the reasons for which others are nested."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.io import flag
from snakemake_executor_plugin_submitit import command
from snakemake_interface_executor_plugins.settings import SharedFSUsage


def file(name: str, *flags: str) -> Any:
    for one in flags:
        name = flag(name, one)
    return name


def job(**given: Any) -> Any:
    """A plain job, but for what is given; `rule_` begins what belongs to its rule."""
    rule = {
        "conda_env": None, "container_img": None, "env_modules": None, "shadow_depth": None, "is_checkpoint": False,
        "cache": SimpleNamespace(output=False), "is_handover": False, "is_template_engine": False, "resources": {},
    }  # fmt: skip
    single = {
        "is_group": lambda: False, "is_shell": True, "is_containerized": False, "benchmark": None, "resources": {},
        "is_pipe": False, "is_service": False, "output": [], "input": [], "shellcmd": "true",
    }  # fmt: skip
    for name, value in given.items():
        (rule if name.startswith("rule_") else single)[name.removeprefix("rule_")] = value
    return SimpleNamespace(rule=SimpleNamespace(**rule), **single)


def workflow(without: SharedFSUsage | None = None, precommand: str = "") -> Any:
    return SimpleNamespace(
        storage_settings=SimpleNamespace(shared_fs_usage=set(SharedFSUsage) - {without}),
        remote_execution_settings=SimpleNamespace(precommand=precommand),
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"is_group": lambda: True}, "it is a group of jobs"),
        ({"is_shell": False}, "it has no shell command"),
        ({"is_containerized": True}, "its rule uses container"),
        ({"rule_conda_env": "env.yaml"}, "its rule uses conda"),
        ({"rule_env_modules": ["cuda"]}, "its rule uses envmodules"),
        ({"rule_shadow_depth": "minimal"}, "its rule uses shadow"),
        ({"rule_cache": SimpleNamespace(output=True)}, "its rule uses cache"),
        ({"rule_is_checkpoint": True}, "its rule uses checkpoint"),
        ({"benchmark": "times"}, "its rule uses benchmark"),
        ({"is_pipe": True}, "its rule uses pipe"),
        ({"is_service": True}, "its rule uses service"),
        ({"resources": {"shell_exec": "zsh"}}, "its rule uses resources.shell_exec"),
        ({"rule_resources": {"tmpdir": SimpleNamespace(raw="/scratch")}}, "its rule uses resources.tmpdir"),
        ({"output": [file("o", "pipe")]}, "an output is pipe()"),
        ({"input": [file("i", "pipe")]}, "an input is pipe()"),
        ({"shellcmd": "ls <TBD>"}, "its command is known only on the node"),
        ({"shellcmd": "x" * 100_001}, "its command is longer than 100000 bytes"),
    ],
)
def test_each_reason_is_named(given: dict[str, Any], reason: str) -> None:
    assert command.why_nested(job(**given), workflow()) == [reason]


def test_the_workflow_may_be_the_reason() -> None:
    assert command.why_nested(job(), workflow(SharedFSUsage.SOURCES)) == [
        "sources is not shared with the nodes"
    ]
    assert command.why_nested(job(), workflow(precommand="pip install x")) == ["there is a precommand"]


def test_all_reasons_are_listed() -> None:
    assert len(command.why_nested(job(benchmark="times", output=[file("o", "pipe")]), workflow())) == 2


@pytest.mark.parametrize("name", ["protected", "touch", "directory", "ensure", "report", "update", "temp"])
def test_plain_in_spite_of_these_flags(name: str) -> None:
    assert not command.why_nested(job(output=[file("o", name)], input=[file("i", "ancient")]), workflow())


def test_a_command_that_is_too_long_for_an_argument_goes_into_a_file(tmp_path: Path) -> None:
    script = tmp_path / "batch/command.sh"
    assert command.shorten(["bash", "-c", "true"], script) == ["bash", "-c", "true"]
    long = ["bash", "-c", f"trap : TERM; echo {'x' * 200_000} | wc -c"]
    assert subprocess.check_output(command.shorten(long, script), text=True) == "200001\n"


def test_a_command_in_a_file_is_taken_along(tmp_path: Path) -> None:
    """A job that is submitted again lies in another folder then; the old one may be deleted meanwhile."""
    long = ["bash", "-c", f"echo {'x' * 200_000} | wc -c"]
    old, new = tmp_path / "old/command-k.sh", tmp_path / "new/command-k.sh"
    moved = command.take_along(command.shorten(long, old), new)
    old.unlink()
    assert subprocess.check_output(moved, text=True) == "200001\n"
    assert command.take_along(["bash", "-c", "true"], new) == ["bash", "-c", "true"]
