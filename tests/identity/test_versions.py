"""Which packages' versions count: those that the configuration names and the run's code imports."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
import yaml

from favit.commands.main import run as favit
from favit.identity.versions import installed
from tests.results.test_state import config, configured, finish, raw_of, states

__all__ = ["config"]


def explained(
    folder: Path, versions: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump({**raw_of(folder), "versions": versions}))
    status = favit("explain", ["--config", str(path)])
    said = capsys.readouterr()
    return status, said.out, said.err


def made_with(folder: Path, **versions: str) -> None:
    """A finished result that was made with these versions, of which its fingerprint counted torch alone."""
    today = states(configured(folder))[0]
    finish(today, versions={"torch": installed("torch")})
    path = today.folder / "metrics.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "versions": {"python": "3.11.7", **versions}})
    )


@pytest.mark.parametrize("package", ["numpy", "einops", "torchvision", "pandas"])
def test_a_package_that_is_counted_from_now_on_is_compared_with_what_the_result_says(
    config: object, tmp_path: Path, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    policy = {"torch": "minor", package: "exact"}
    made_with(tmp_path, **{package: installed(package)})
    assert explained(tmp_path, policy, capsys)[1].startswith("valid")
    made_with(tmp_path, **{package: "0.0.1"})
    out = explained(tmp_path, policy, capsys)[1].splitlines()[0]
    imported = package != "torchvision"  # what an Informer reaches, its data and its task
    assert (f"versions: {package} 0.0.1 -> {installed(package)}" in out) == imported, out
    assert explained(tmp_path, {"torch": "minor", package: "none"}, capsys)[1].startswith("valid")
    assert explained(tmp_path, {"torch": "minor", package: "major"}, capsys)[0] == 0


def test_a_package_by_another_name_than_its_import_s(
    config: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, said = explained(tmp_path, {"torch": "minor", "torchvison": "minor"}, capsys)
    assert status == 1 and said.count("\n") == 1
    assert (
        "versions: unknown package 'torchvison'; did you mean 'torchvision'? Valid: torchvision, torch, "
        in said
    )


def test_any_installed_package_may_be_counted(
    config: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = next(
        d.metadata["Name"] for d in importlib.metadata.distributions() if d.metadata["Name"] == "pytest"
    )
    assert explained(tmp_path, {"torch": "minor", other: "exact"}, capsys)[0] == 0


def test_a_precision_that_does_not_exist_is_answered(
    config: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, said = explained(tmp_path, {"numpy": "patch"}, capsys)
    assert status == 1 and "versions.numpy must be one of none, major, minor, exact" in said
