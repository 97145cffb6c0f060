"""The rooms of the house: what each may import, held against the code's own import statements."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from favit.components import registry
from favit.identity.closure import ROOT, Reader
from favit.identity.fingerprint import ENGINE, PROGRAM

READER = Reader()
STDLIB = set(sys.stdlib_module_names)

# Every room and subfolder of favit, and the rooms that its files may import besides their own. A room stands below
# those that import it; `docs/architecture.md` says the same in words. What people type forwards to commands.
MAY_IMPORT: dict[str, set[str]] = {
    "disk": set(),
    "components": set(),
    "aggregators": {"components"},
    "attention": {"components"},
    "encodings": {"components"},
    "models": {"aggregators", "attention", "encodings", "components"},
    "data": {"components", "disk"},
    "train": {"components"},
    "train.augment": {"train"},
    "train.feeds": {"train", "train.augment", "data"},
    "train.optimizers": {"train", "models"},  # models: so that timm can be imported
    "train.tasks": {"train", "train.augment", "train.feeds", "components"},
    "sweeps": {"components"},
    "identity": {"components", "disk", "sweeps"},
    "train.loggers": {"disk"},
    # models: for what they set of a CPU
    "train.life": {"components", "train", "train.loggers", "identity", "disk", "models"},
    "prepare": {"components", "data", "disk"},
    "results": {"components", "data", "disk", "identity", "sweeps"},
    "proof": {"data", "disk", "identity", "results", "sweeps", "train"},
    "planning": {"components", "data", "disk", "identity", "models", "results", "sweeps", "train", "train.life"},
    "analysis": {
        "attention", "aggregators", "components", "data", "disk", "encodings", "identity", "models", "results",
        "sweeps", "train", "train.augment",  # to score a trained model as its training does
    },
    "analysis.figures": {"analysis", "attention", "components", "disk", "encodings", "sweeps", "train"},
    "analysis.page": {"analysis", "analysis.figures", "disk", "results"},
    "contracts": {
        "analysis", "components", "data", "identity", "models", "sweeps", "train",
    },
    # train: to read weights
    "loading": {"analysis", "components", "disk", "results", "sweeps", "train"},
    "watching": {"disk", "results", "sweeps"},
    "exporting": {"disk", "identity", "results"},
    "commands": {
        "analysis", "analysis.page", "components", "contracts", "disk", "exporting", "identity", "models", "planning",
        "prepare", "proof", "results", "sweeps", "train", "train.life", "watching",
    },
}  # fmt: skip

# Files that stand beside the rooms: `python -m favit.train` completes a run that a person wrote.
ENTRANCES = {
    "favit.__main__": {"commands"},
    "favit.train.__main__": {"components", "identity", "sweeps", "train.life"},
}

# Packages besides the standard library that a room may import; None: whatever the product depends on.
PACKAGES: dict[str, set[str] | None] = {
    "disk": {"filelock"},
    "components": set(),
    "aggregators": {"torch", "einops", "triton"},
    "attention": {"torch", "einops"},
    "encodings": {"torch", "einops"},
    "sweeps": {"yaml", "jsonschema"},
    "identity": set(),
    "results": set(),
}


def modules() -> list[str]:
    """Every module of favit."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / "favit").rglob("*.py")))
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


def room_of(module: str) -> str:
    """The folder of a module below favit, with dots; empty for files in its root."""
    file = READER.file_of(module)
    assert file is not None, module
    return ".".join(file.parent.relative_to(ROOT / "favit").parts)


def imported(module: str) -> set[str]:
    """The rooms that a module imports from, its own left out."""
    names = {name for name in READER.module(module).imports if _is_meant(name, module)}
    return {room for name in names if (room := room_of(name)) not in ("", room_of(module))}


def _is_meant(name: str, module: str) -> bool:
    """Whether an import is of this module itself: those of the packages around it say nothing."""
    return not any(other != name and other.startswith(f"{name}.") for other in READER.module(module).imports)


def others(module: str) -> set[str]:
    """The packages besides the standard library that a module imports."""
    return set(READER.module(module).outside) - STDLIB


def test_every_folder_with_code_is_a_room_of_the_plan() -> None:
    assert {room_of(module) for module in modules()} - {""} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", modules())
def test_a_file_imports_only_what_its_room_may(module: str) -> None:
    room = room_of(module)
    allowed = ENTRANCES.get(module, MAY_IMPORT.get(room, {"commands"}))
    assert imported(module) <= allowed, f"{module} may import {sorted(allowed)}"


@pytest.mark.parametrize("room", PACKAGES)
def test_a_room_imports_only_these_packages(room: str) -> None:
    for module in modules():
        if room_of(module) == room:
            assert others(module) <= (PACKAGES[room] or set()), module


def test_no_import_goes_upwards_and_none_in_a_circle() -> None:
    try:
        order = list(TopologicalSorter(MAY_IMPORT).static_order())
    except CycleError as error:
        pytest.fail(f"rooms that import each other: {error.args[1]}")
    assert order.index("disk") < order.index("identity") < order.index("results") < order.index("commands")


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    every = set(modules())
    arrows = {m: {n for n in READER.module(m).imports if n in every and n != m} for m in every}
    # A package's __init__ is imported with whatever lies in it; it is empty of work.
    packages = {m for m in every if (file := READER.file_of(m)) and file.name == "__init__.py"}
    graph = {m: targets - packages for m, targets in arrows.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules that import each other: {error.args[1]}")


def test_the_root_only_forwards() -> None:
    for module in modules():
        if room_of(module) == "" and module != "favit":
            assert set(READER.module(module).definitions) <= {"imports", "module level"}, module
    # favit/__init__.py is in every closure and empty of work, but for what people load results with
    assert set(READER.module("favit").definitions) == {"__getattr__", "__dir__"}
    assert not READER.module("favit").imports


def test_packages_list_no_components() -> None:
    for kind in registry.KINDS:
        components = {f"favit.{kind}.{name}" for name in registry.names(kind)}
        listed = components & set(READER.module(f"favit.{kind}").imports)
        assert not listed, f"favit/{kind}/__init__.py imports {listed}"


def test_nothing_in_favit_imports_the_workflow() -> None:
    for module in modules():
        assert not others(module) & {"snakemake", "submitit", "snakemake_interface_executor_plugins"}, module


def test_what_decides_numbers_knows_nothing_of_a_run_s_life() -> None:
    code = READER.closure([ENGINE, "favit.train.tasks.classification", "favit.train.tasks.forecasting"])
    rooms = {room_of(name) for name in code.modules}
    assert not rooms & {"train.life", "identity", "results", "commands", "sweeps"}, rooms
    program = READER.closure([PROGRAM])
    assert "favit.train.engine" in program.modules


LIFE_OF_IMPORTS = ["favit.sweeps.runs", "favit.identity.fingerprint", "favit.identity.snapshot",
                   "favit.results.guard", "favit.results.tables", "favit.commands.main",
                   "favit.commands.sweep", "favit.commands.explain", "favit.commands.accept"]  # fmt: skip


def test_deciding_what_runs_needs_no_torch() -> None:
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    heavy = {"torch", "pandas", "numpy"} & set(sys.modules)
    if heavy:
        sys.exit(f"{name} imports {sorted(heavy)}")
"""
    command = [sys.executable, "-c", code, *LIFE_OF_IMPORTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", ["favit", "workflow", "jobs", "benchmarks", "tests"])
def test_no_file_is_longer_than_one_can_read(folder: str) -> None:
    for path in sorted(p for suffix in ("*.py", "*.smk") for p in (ROOT / folder).rglob(suffix)):
        is_test = bool({"tests", "benchmarks"} & set(path.relative_to(ROOT).parts))
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= (450 if is_test else 350), f"{path.relative_to(ROOT)} has {lines} lines"


def test_documentation_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    missing = [room for room in MAY_IMPORT if f"`{room.replace('.', '/')}/`" not in text]
    assert not missing


def test_the_executor_knows_nothing_of_favit() -> None:
    for path in (ROOT / "jobs" / "snakemake_executor_plugin_submitit").rglob("*.py"):
        words = path.read_text(encoding="utf-8")
        assert "import favit" not in words and "from favit" not in words, path
    assert importlib.util.find_spec("favit") is not None
