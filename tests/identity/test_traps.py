"""What names do not tell is seen all the same: each case is executed before and after its change, and digested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from favit.identity.definitions import Sources
from tests.identity.traps import CASES as OF_ONE_ROOT
from tests.identity.traps import Case
from tests.identity.traps_of_definitions import TRAPS
from tests.identity.traps_of_parts import PARTS
from tests.identity.traps_of_texts import TEXTS

CASES = [*OF_ONE_ROOT, *PARTS, *TRAPS, *TEXTS]

# Runs each folder's program in turn, and prints what it returned.
_EXECUTE = """
import importlib, json, sys
found = []
for folder in json.load(sys.stdin):
    for name in [n for n in sys.modules if n.partition(".")[0] == "favit"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        found.append(repr(importlib.import_module("favit.root").run()))
    except BaseException as error:
        found.append(f"failed: {error!r}")
    sys.path.pop(0)
print(json.dumps(found))
"""


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in {"__init__": "", **files}.items():
        path = folder / "favit" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def both(case: Case, folder: Path) -> tuple[Path, Path]:
    what, files, module, old, new = case
    assert files[module].count(old) >= 1, what
    changed = {**files, module: files[module].replace(old, new, 1)}
    return written(folder / "before", files), written(folder / "after", changed)


def digest(folder: Path) -> str:
    part = ["favit.part"] if (folder / "favit" / "part.py").is_file() else []
    return Sources(folder).code(["favit.root", *part]).digest


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_change_that_names_do_not_tell_is_seen(case: Case, tmp_path: Path) -> None:
    before, after = both(case, tmp_path)
    assert digest(before) != digest(after)


def test_each_change_is_one(tmp_path: Path) -> None:
    """Else the cases above would show nothing."""
    pairs = [both(case, tmp_path / str(number)) for number, case in enumerate(CASES)]
    folders = json.dumps([str(folder) for pair in pairs for folder in pair])
    done = subprocess.run(
        [sys.executable, "-c", _EXECUTE], input=folders, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout.splitlines()[-1])
    equal = [
        case[0]
        for case, before, after in zip(CASES, values[::2], values[1::2], strict=True)
        if before == after
    ]
    failed = [
        f"{case[0]}: {value}"
        for case, value in zip(CASES, values[::2], strict=True)
        if value.startswith("failed")
    ]
    assert (equal, failed) == ([], [])
