"""A copy of the code that a run was fingerprinted with, which the run then executes.

``results/snapshots/<code digest>/`` holds the modules of one closure and a
``__main__.py``, so that ``python results/snapshots/<code digest> --run ...``
trains with exactly that code, whatever was edited since. An import of anything
outside the closure fails there. Free of torch.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from favit.disk.files import write_atomic
from favit.identity.closure import Closure, Reader

FACTS = "closure.json"

_MAIN = '''"""Trains a run with the code kept beside this file."""

import os
import runpy
import sys
from pathlib import Path

here = str(Path(__file__).resolve().parent)
sys.path[:] = [here, *(p for p in sys.path if Path(p).resolve() != Path(here))]
os.environ["FAVIT_SNAPSHOT"] = here
runpy.run_module("favit.train", run_name="__main__", alter_sys=True)
'''


class CodeChanged(RuntimeError):
    """The source was edited between its fingerprint and its snapshot."""


def folder_of(code: str, results: Path) -> Path:
    """Where the snapshot of a code digest lies."""
    return results / "snapshots" / code


def keep(closure: Closure, results: Path, reader: Reader) -> Path:
    """Make sure that the snapshot of a closure exists; returns its folder. Raises ``CodeChanged``."""
    target = folder_of(closure.digest, results)
    if target.exists():
        with contextlib.suppress(PermissionError):
            target.touch()  # in use: nobody takes it for long forgotten
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{closure.digest}.", dir=target.parent))
    try:
        building.chmod(0o755)
        _copy(closure, reader, building)
        if Reader(root=building).closure(closure.modules).digest != closure.digest:
            raise CodeChanged("the source was edited while snakemake was starting; start it again")
        _publish(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _copy(closure: Closure, reader: Reader, building: Path) -> None:
    sources = [path for name in closure.modules if (path := reader.file_of(name))]
    for source in sources:
        write_atomic(building / source.relative_to(reader.root), source.read_bytes())
    diff = _git(reader.root, "diff", "HEAD", "--", *map(str, sources))
    untracked = _git(reader.root, "ls-files", "--others", "--exclude-standard", "--", *map(str, sources))
    facts = {
        "commit": _git(reader.root, "rev-parse", "HEAD").strip() or None,
        "dirty": bool(diff or untracked),
        "modules": closure.definitions(),
    }
    write_atomic(building / "uncommitted.diff", diff)
    write_atomic(building / FACTS, json.dumps(facts, indent=1, sort_keys=True))
    write_atomic(building / "__main__.py", _MAIN)


def _publish(building: Path, target: Path) -> None:
    try:
        building.rename(target)
    except OSError:
        if not target.exists():  # otherwise another process was faster, with the same content
            raise


def _git(root: Path, *arguments: str) -> str:
    """A git command's output; empty where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
