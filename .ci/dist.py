"""Build the wheels in ``dist/``: ``make dist``, or ``make dist TAG=executor-v0.2.0`` for that of one tag.

A tag whose version is not that of its pyproject.toml is refused, and so is one whose changes are still headed as
unreleased.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = {"v": ROOT, "executor-v": ROOT / "jobs"}  # what a tag begins with, and where its distribution lies


def folder_of(tag: str) -> Path:
    """The folder of the distribution that a tag is of; ``SystemExit`` for a tag that does not fit."""
    match = re.fullmatch(r"(v|executor-v)(\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?)", tag)
    if match is None:
        sys.exit(
            f"{tag} is no tag of a release: v1.2.3 is one of the product, executor-v1.2.3 one of the executor"
        )
    folder, version = FOLDERS[match[1]], match[2]
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project["version"] != version:
        sys.exit(
            f"{tag}: {folder / 'pyproject.toml'} says {project['version']}; set it, or take the other tag"
        )
    if not released(folder, version):
        sys.exit(f"{tag}: {folder / 'CHANGELOG.md'} has no heading '## {version} - YYYY-MM-DD'")
    return folder


def released(folder: Path, version: str) -> bool:
    """Whether the changes of a version have a heading with its date."""
    changes = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    return (
        re.search(rf"^## {re.escape(version)} - \d{{4}}-\d{{2}}-\d{{2}}$", changes, re.MULTILINE) is not None
    )


def main(tag: str = "") -> None:
    """Build; with the build's packages that are installed, else with such that pip fetches."""
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    for folder in [folder_of(tag)] if tag else FOLDERS.values():
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation]
        subprocess.run([*command, "--wheel-dir", ROOT / "dist", folder], check=True)
    for wheel in sorted((ROOT / "dist").glob("*.whl")):
        print(wheel.relative_to(ROOT))


if __name__ == "__main__":
    main(*sys.argv[1:])
