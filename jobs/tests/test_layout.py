"""The package stands alone: what it may import, and what may not creep in."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "snakemake_executor_plugin_submitit"
MODULES = sorted(PACKAGE.rglob("*.py"))
EVERYTHING = sorted(path for path in ROOT.rglob("*.py") if ".venv" not in path.parts)
ALLOWED = {"snakemake", "snakemake_interface_common", "snakemake_interface_executor_plugins", "submitit"}


def imports(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports absolutely, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", EVERYTHING, ids=relative)
def test_no_workflow_is_special(path: Path) -> None:
    """The executor and its tests serve any workflow, so that nothing here knows one."""
    assert "favit" not in set(imports(path))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_dependencies_are_the_declared_ones(path: Path) -> None:
    own = (
        {"allocation"} if path.name == "__main__.py" else set()
    )  # started by path, it imports itself by name
    assert set(imports(path)) <= set(sys.stdlib_module_names) | ALLOWED | own


@pytest.mark.parametrize("path", sorted((PACKAGE / "allocation").glob("*.py")), ids=relative)
def test_what_runs_on_a_node_needs_the_standard_library_alone(path: Path) -> None:
    """It starts in milliseconds, without site-packages: `python -I -S`."""
    assert set(imports(path)) <= set(sys.stdlib_module_names) | {"allocation"}
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level > 1), "it reaches outside its folder"


@pytest.mark.parametrize("path", EVERYTHING, ids=relative)
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= (350 if PACKAGE in path.parents else 450)
