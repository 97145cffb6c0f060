"""A project of an older version is brought to this one: nothing of the user's is lost, all changes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from favit.commands import init, main
from favit.disk.files import write_atomic
from favit.sweeps import shipped

RULES = "workflow/rules/train.smk"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A project whose rules, profile and configuration are of an older version, which had one file more."""
    project = tmp_path / "old"
    init.lay_out(project)
    files = {name: (project / name).read_bytes() for name in shipped.laid_out(project)}
    files |= {RULES: b"old rules", "slurm/config.yaml": b"old: profile", "config.yaml": b"old: sweeps"}
    files |= {"workflow/rules/gone.smk": b"gone"}
    for name in (RULES, "slurm/config.yaml", "config.yaml", "workflow/rules/gone.smk"):
        (project / name).write_bytes(files[name])
    write_atomic(project / shipped.RECORD, init.record(files))
    return project


def updated(project: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main.main(["init", "--update", str(project)]) == 0
    return capsys.readouterr().out.splitlines()


def today(name: str) -> bytes:
    return dict(init._files())[name]


def test_what_the_user_left_alone_is_replaced_but_for_the_configuration(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{old} is of another version of favit; `favit init --update`" in shipped.outdated(old)
    (old / "my_lab" / "mine.txt").write_text("mine")
    (old / "workstation" / "config.yaml").unlink()  # by the user, who has no use for it
    assert updated(old, capsys) == [
        "kept     config.yaml; this version's is beside it, config.yaml.new",
        f"updated  {RULES}",
        "updated  slurm/config.yaml",
        "removed  workflow/rules/gone.smk",
    ]
    assert (old / RULES).read_bytes() == today(RULES)
    assert (old / "config.yaml").read_bytes() == b"old: sweeps"
    assert (old / "config.yaml.new").read_bytes() == today("config.yaml")
    assert not (old / "workstation" / "config.yaml").exists()
    assert (old / "my_lab" / "mine.txt").read_text() == "mine"
    assert updated(old, capsys) == [f"{old} is up to date"] and not shipped.outdated(old)


def test_what_the_user_changed_is_kept(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old / RULES).write_text("my rules")
    (old / f"{RULES}.old").write_text("older ones of mine")
    (old / "slurm" / "config.yaml").write_text("my: partition")
    (old / "slurm" / "config.yaml.new").write_text("notes of mine")
    (old / "Snakefile").write_text("changed, as the program's was not")
    (old / "workflow" / "rules" / "gone.smk").write_text("mine now")
    said = updated(old, capsys)
    assert f"updated  {RULES}; what stood there is kept as {RULES}.old.1" in said
    assert not any("Snakefile" in line or "gone" in line for line in said)
    held = {
        RULES: today(RULES), f"{RULES}.old": b"older ones of mine", f"{RULES}.old.1": b"my rules",
        "slurm/config.yaml": b"my: partition", "slurm/config.yaml.new": today("slurm/config.yaml"),
        "slurm/config.yaml.new.old": b"notes of mine", "Snakefile": b"changed, as the program's was not",
        "workflow/rules/gone.smk": b"mine now",
    }  # fmt: skip
    assert {name: (old / name).read_bytes() for name in held} == held
    assert updated(old, capsys) == [f"{old} is up to date"]


def test_a_project_of_before_there_were_records(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old / shipped.RECORD).unlink()
    (old / "workstation" / "config.yaml").unlink()
    (old / ".gitignore").write_text("/results\n")
    assert not shipped.outdated(old)
    said = updated(old, capsys)
    assert "added    workstation/config.yaml" in said
    assert f"updated  {RULES}; what stood there is kept as {RULES}.old" in said
    assert "kept     slurm/config.yaml; this version's is beside it, slurm/config.yaml.new" in said
    assert (old / ".gitignore").read_text() == "/results\n" and not (old / ".gitignore.new").exists()
    assert updated(old, capsys) == [f"{old} is up to date"]


def test_an_interrupted_update_goes_on(
    old: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from favit.commands import _update

    (old / RULES).write_text("my rules")
    for allowed in range(3):
        left = [allowed]

        def write(path: Path, data: bytes, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write_atomic(path, data)

        monkeypatch.setattr(_update, "write_atomic", write)
        assert main.main(["init", "--update", str(old)]) == 130
    monkeypatch.undo()
    updated(old, capsys)
    assert (old / f"{RULES}.old").read_text() == "my rules" and (old / RULES).read_bytes() == today(RULES)
    assert not (old / f"{RULES}.old.1").exists() and not shipped.outdated(old)


def test_what_cannot_be_updated_is_told_in_a_line(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(folder: Path, *more: str) -> str:
        before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert main.main(["init", *more, str(folder)]) == 1
        assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "already holds a project; `favit init --update" in refused(old)
    assert "creates one" in refused(old.parent, "--update")
    assert "creates one" in refused(old / "nowhere", "--update")
    (old.parent / "file").write_text("")
    assert main.main(["init", str(old.parent / "file" / "below")]) == 1
    assert capsys.readouterr().err.startswith(f"cannot create {old.parent / 'file' / 'below'}: ")
    locks = old / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("")
    assert "snakemake is at work" in refused(old, "--update")
    (locks / "0.input.lock").unlink()
    (old / "Snakefile").unlink()
    (old / "Snakefile").mkdir()
    assert "Snakefile is not a file" in refused(old, "--update")
    (old / "favit").mkdir()
    (old / "favit" / "__init__.py").write_text("")
    assert "is a checkout" in refused(old, "--update")
