"""What a person types, and what is answered: one line that says what to do, and an exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from favit.commands.main import main
from favit.identity.closure import ROOT
from favit.sweeps.config import ConfigError, as_yaml, load, read
from tests.conftest import Project
from tests.workflow.conftest import TINY


@pytest.fixture(scope="module")
def tiny(shared_project: Project) -> Project:
    shared_project.configure(TINY)
    return shared_project


@pytest.mark.slow
def test_a_target_that_is_none_is_answered_with_the_nearest(tiny: Project) -> None:
    done = tiny.snakemake("-n", "serise", check=False)
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("no target 'serise'; did you mean 'series'? snakemake --list shows all ")
    done = tiny.snakemake("-n", "xyzzyqwv", check=False)
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert last.startswith("no target 'xyzzyqwv'; valid: ") and "no_such_target" not in last
    # What is there is not asked about: a file, a rule, a group, or a path that some rule may make
    assert tiny.snakemake("-n", "both").returncode == 0
    done = tiny.snakemake("-n", "results/tables/nope.csv", check=False)
    assert "no target" not in done.stdout + done.stderr and done.returncode == 1


@pytest.mark.slow
def test_nested_keys_of_the_command_line_have_their_types(tiny: Project) -> None:
    given = "resources={gpus: 0, cpus: 2, mem_mb: 1234}"
    tiny.snakemake("-n", "series", "--config", given, "retrain=yes")  # text would be answered as below
    done = tiny.snakemake("-n", "series", "--config", "resources={gpus: many}", check=False)
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert done.returncode == 1 and last == "config.yaml: resources.gpus must be a whole number, not 'many'"


@pytest.mark.slow
def test_a_configuration_that_is_no_yaml_is_named_with_its_line(project: Project) -> None:
    (project.root / "config.yaml").write_text("results: results\nsweeps:\n  a: [1,\n  b: {\n")
    done = project.snakemake("-n", check=False)
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("config.yaml, line 5, is not valid YAML: ")


def test_yaml_errors_name_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for text, line in (("a: b\n\tc: d\n", 2), ("a: 'x\nb: c\n", 3), ("a: [1, 2\nb: 3\n", 2), ("a: *x\n", 1)):
        file.write_text(text)
        with pytest.raises(ConfigError) as said:
            read(file)
        assert str(said.value).startswith(f"{file}, line {line}, is not valid YAML: "), text
        assert "\n" not in str(said.value) and "unicode string" not in str(said.value)
    file.write_bytes(b"a: b\nc: \xff\n")
    with pytest.raises(ConfigError, match="line 2, is not UTF-8"):
        read(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\tc: d\n", "spaces, not tabs"),
        ("a: 2026-13-45\n", "month must be in 1..12"),
        ("a: !!int word\n", "invalid literal"),
        ("a: &x [*x]\n", "an anchor contains itself"),
        ("", "is empty"),
    ],
)
def test_no_file_is_answered_with_a_traceback(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as answer:
        load(file)
    assert str(answer.value).startswith(str(file)) and "\n" not in str(answer.value)


def test_text_as_yaml_reads_it() -> None:
    text = ["word", "[1]", "a: b", "", "1e3", "'2'", "2026-13-45"]
    assert [as_yaml(one) for one in text] == text
    assert [as_yaml(one) for one in ("2", "1.5", "true", "no")] == [2, 1.5, True, False]


@pytest.mark.parametrize("words", [["accept"], ["plan", "--nope"], ["diff"], ["watch", "--every", "often"]])
def test_a_wrong_command_line_is_answered_in_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"favit {words[0]}: ") and "--help" in said


def test_the_workstation_s_profile_is_never_taken_unasked() -> None:
    profile = yaml.safe_load((ROOT / "workstation" / "config.yaml").read_text())
    assert profile["executor"] == "submitit" and profile["submitit-cluster"] == "local"
    assert not (ROOT / "profiles").exists()


@pytest.mark.slow
def test_the_workstation_s_profile_trains_beside_each_other(tiny: Project) -> None:
    words = [
        "-m",
        "snakemake",
        "--profile",
        str(ROOT / "workstation"),
        "series",
        "--config",
        "resources={gpus: 0, cpus: 1}",
    ]
    tiny.python(*words)
    assert len(tiny.results()) == 2
