"""The rooms of the house: what each may import, held against the code's own import statements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from favit.components import registry
from favit.identity.closure import ROOT, Reader

READER = Reader()
STDLIB = set(sys.stdlib_module_names)


def modules_of(room: str) -> list[str]:
    return [
        f"favit.{room}.{p.stem}" for p in sorted((ROOT / "favit" / room).glob("*.py")) if p.stem != "__init__"
    ]


def imported_rooms(module: str) -> set[str]:
    return {name.split(".")[1] for name in READER.module(module).imports if name.count(".") >= 1}


def others(module: str) -> set[str]:
    return set(READER.module(module).outside) - STDLIB


@pytest.mark.parametrize("room", ["aggregators", "attention", "encodings"])
def test_mechanisms_are_usable_alone(room: str) -> None:
    for module in modules_of(room):
        assert imported_rooms(module) <= {room}, module
        assert others(module) <= {"torch", "einops"}, module


def test_models_know_mechanisms_but_neither_data_nor_training() -> None:
    for module in modules_of("models"):
        allowed = {"models", "aggregators", "attention", "encodings", "registry", "torchvision_cpu"}
        assert imported_rooms(module) <= allowed, module


def test_data_never_know_models() -> None:
    for module in modules_of("data"):
        assert not imported_rooms(module) & {"models", "train", "aggregators", "attention", "encodings"}, (
            module
        )


def test_training_reaches_models_and_data_only_by_name() -> None:
    for module in modules_of("train"):
        assert not imported_rooms(module) & {
            "models",
            "data",
            "analysis",
            "sweep",
            "config",
            "fingerprint",
        }, module


def test_nothing_in_favit_imports_the_workflow() -> None:
    for path in (ROOT / "favit").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        assert not others(module) & {"snakemake", "submitit", "snakemake_interface_executor_plugins"}, module


def test_the_executor_serves_any_workflow() -> None:
    for path in (ROOT / "jobs").rglob("*.py"):
        assert "favit" not in {line.split()[1].split(".")[0] for line in _import_lines(path)}, path


def _import_lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line.startswith(("import ", "from "))]


def test_no_package_lists_its_components() -> None:
    for kind in registry.KINDS:
        components = {f"favit.{kind}.{name}" for name in registry.names(kind)}
        listed = components & set(READER.module(f"favit.{kind}").imports)
        assert not listed, f"favit/{kind}/__init__.py imports {listed}"


@pytest.mark.parametrize(
    "module",
    ["config", "sweep", "closure", "fingerprint", "state", "explain", "guard", "snapshot", "tabulate"],
)
def test_deciding_what_runs_needs_no_torch(module: str) -> None:
    code = (
        f"import sys, favit.{module}; sys.exit(sum(m in sys.modules for m in ('torch', 'pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
