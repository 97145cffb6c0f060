"""What a release and hosted continuous integration rest on: versions, tags, targets, licences."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from favit.identity.closure import ROOT
from favit.sweeps import shipped

spec = importlib.util.spec_from_file_location("dist", ROOT / ".ci" / "dist.py")
assert spec and spec.loader
dist = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dist)


def project(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project(ROOT)["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "jobs" / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest[1] in (project(ROOT / "jobs")["version"], "Unreleased")


def laid_out(folder: Path, version: str, heading: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n")
    return folder


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "vexecutor-1.2.3", "executor-1.2.3", "v1.2.3-fix", ""])
def test_what_is_no_tag_of_a_release_is_refused(tag: str) -> None:
    with pytest.raises(SystemExit, match="no tag of a release"):
        dist.folder_of(tag)


def test_a_tag_is_of_one_distribution_and_of_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = laid_out(tmp_path / "product", "1.2.3", "1.2.3 - 2026-11-26")
    executor = laid_out(tmp_path / "executor", "0.2.0", "0.2.0 - unreleased")
    monkeypatch.setattr(dist, "FOLDERS", {"v": product, "executor-v": executor})
    assert dist.folder_of("v1.2.3") == product
    for tag, words in (
        ("v1.2.4", "says 1.2.3"),
        ("executor-v1.2.3", "says 0.2.0"),
        ("executor-v0.2.0", "no heading"),
    ):
        with pytest.raises(SystemExit, match=words):
            dist.folder_of(tag)
    laid_out(executor, "0.2.0", "0.2.0 - 2026-11-27")
    assert dist.folder_of("executor-v0.2.0") == executor


def test_hosted_integration_calls_what_ours_calls() -> None:
    ours = re.search(r"\$\{\*:-([^}]*)\}", (ROOT / ".ci" / "run").read_text())
    hosted = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert ours and hosted["jobs"]["target"]["strategy"]["matrix"]["target"] == ours[1].split()
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(ours[1].split()) < targets


def test_every_workflow_and_template_is_readable() -> None:
    files = sorted((ROOT / ".github").rglob("*.yml"))
    assert {"ci.yml", "release.yml", "bug.yml", "idea.yml"} <= {file.name for file in files}
    for file in files:
        content = yaml.safe_load(file.read_text())
        for body in content.get("body", ()):
            assert (
                body["type"] in ("textarea", "dropdown", "input", "markdown") and body["attributes"]["label"]
            )
        for job in content.get("jobs", {}).values():
            for step in job["steps"]:
                assert ("run" in step) != ("uses" in step), step


def test_the_wheel_has_what_commands_read_besides_the_code() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert asked["force-include"] == {
        name: f"favit/_project/{name}" for name in (*shipped.NAMES, *shipped.TERMS)
    }
    assert all((shipped.folder() / name).exists() for name in (*shipped.NAMES, *shipped.TERMS))


def test_the_licence_of_every_package_that_is_asked_for_is_told() -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    table = page.partition("| package | licence |")[2].partition("\n\n")[0]
    told = set(
        re.findall(r"[\w-]+", " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    )
    for folder in (ROOT, ROOT / "jobs"):
        asked = {re.match(r"[\w-]+", name)[0] for name in project(folder)["dependencies"]}  # type: ignore[index, attr-defined]
        assert asked <= told, asked - told
