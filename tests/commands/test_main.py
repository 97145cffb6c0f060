"""The command line: every verb has its module, every form of calling it the same answer, mistakes take one line."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable

import pytest

from favit.commands.main import VERBS, main
from favit.identity.closure import ROOT

# From before there was one command. Later verbs are called by it alone.
FORWARDED = ("accept", "explain", "fetch", "plan", "prune", "report", "sweep", "tabulate")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What ``python -m MODULE WORDS`` prints before it ends well, without the seconds that a new Python takes."""

    def call(module: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["python", *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        assert not ended.value.code
        return capsys.readouterr().out

    return call


def test_each_verb_is_a_module_and_each_module_a_verb() -> None:
    """But for parts of a verb's module, whose names begin with a line."""
    modules = {path.stem for path in (ROOT / "favit" / "commands").glob("*.py")}
    assert {name for name in modules if not name.startswith("_")} - {"main"} == set(VERBS)


@pytest.mark.parametrize("verb", FORWARDED)
def test_the_module_of_a_verb_s_name_forwards_to_it(called: Callable[..., str], verb: str) -> None:
    ours, theirs = called("favit", verb, "--help"), called(f"favit.{verb}", "--help")
    assert ours == theirs and f"usage: favit {verb}" in ours


def test_each_verb_tells_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in VERBS:
        if verb != "train":  # torch's own processes are started there
            with pytest.raises(SystemExit) as ended:
                main([verb, "--help"])
            assert not ended.value.code and f"usage: favit {verb}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["train", "prepare"])
def test_the_verbs_that_are_packages_answer_too(verb: str) -> None:
    command = f"{sys.executable} -m favit {verb} --help && {sys.executable} -m favit.{verb} --help"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("--data") >= 2, done.stderr


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explian"]) == 2
    assert "did you mean 'explain'" in capsys.readouterr().err
    assert main(["explain", "--config", "nowhere.yaml"]) == 1
    assert (
        capsys.readouterr().err
        == "configuration nowhere.yaml not found; change to the project's folder or give another file\n"
    )


@pytest.mark.parametrize("verb", ["train", "prepare", "fetch"])
def test_a_wrong_option_is_one_line(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--nope"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and "--help" in said


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            OSError(28, "No space left on device", "results/x"),
            1,
            "favit sweep: cannot use results/x: No space",
        ),
        (OSError("the server is gone"), 1, "favit sweep: the server is gone"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(words: object) -> int:
        raise error

    monkeypatch.setattr("favit.commands.sweep.main", fail)
    assert main(["sweep", "all"]) == status
    shown = capsys.readouterr().err
    assert shown.startswith(said) and shown.count("\n") == bool(said)


def test_without_a_verb_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2 and main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(shown.count(f"\n  {verb} ") == 2 for verb in VERBS)


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = f"{sys.executable} -m favit sweep all | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("{") and done.stderr == ""
