"""A copy of all code that trains a run, for its job to execute.

``results/snapshots/<digest>/`` holds the modules of one program and a
``__main__.py``, so that ``python results/snapshots/<digest> --run ...`` trains
with exactly that code, whatever was edited since. An import of anything outside
it fails there. The digest is the snapshot's own: it covers the run's life
around its numbers, too, which no fingerprint does. Free of torch.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from favit.components import own
from favit.disk.cache import Cache
from favit.disk.files import sha256_of, write_atomic
from favit.disk.git import commit_of, git
from favit.identity.closure import Closure, Reader
from favit.identity.definitions import Code, Sources, analyser
from favit.sweeps.config import ConfigError

FACTS = "snapshot.json"
LAYOUT = 1  # where the files of a snapshot lie and what its facts mean

_MAIN = '''"""Trains a run with the code kept beside this file, if it is still as it was kept."""

import hashlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

here = str(Path(__file__).resolve().parent)
for name, digest in json.loads(Path(here, "snapshot.json").read_text())["files"].items():
    file = Path(here, name)
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        sys.exit(f"{file} is not what it was when the run was prepared; remove {here} and start snakemake again")
sys.path[:] = [here, *(p for p in sys.path if Path(p).resolve() != Path(here))]
os.environ["FAVIT_SNAPSHOT"] = here
runpy.run_module("favit.train.life", run_name="__main__", alter_sys=True)
'''


class CodeChanged(RuntimeError):
    """The source was edited between fingerprint and snapshot, or a snapshot was edited."""


def folder_of(digest: str, results: Path) -> Path:
    """The folder of the snapshot with this digest."""
    return results / "snapshots" / digest


def keep(program: Closure, code: Code, results: Path, reader: Reader) -> Path:
    """Make sure that the snapshot of a program exists; returns its folder. Raises ``CodeChanged``.

    ``code`` is the part of the program that decides its numbers. Its roots are recorded, so that it can be found
    again in the snapshot, whoever digests it then.
    """
    target = folder_of(program.digest, results)
    if target.exists() and any(not (target / twin).is_file() for twin in _twins(program, reader)):
        shutil.rmtree(target)  # of before there were twins: no job ever found its components there
    if target.exists():
        _check_unchanged(target)
        with contextlib.suppress(PermissionError):
            target.touch()  # in use: nobody takes it for long forgotten
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{program.digest}.", dir=target.parent))
    try:
        building.chmod(0o755)
        _copy(program, code, reader, building)
        unchanged = Reader(root=building).closure(program.roots).digest == program.digest
        if not unchanged or Sources(building).code(code.roots).digest != code.digest:
            raise CodeChanged("the source was edited while snakemake was starting; start it again")
        _publish(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _copy(program: Closure, code: Code, reader: Reader, building: Path) -> None:
    files = {name: path for name in program.modules if (path := reader.file_of(name))}
    for name, source in files.items():
        place = building.joinpath(
            *name.split(".")
        )  # components of one's own lie beside the built-in ones here
        target = place / source.name if source.name == "__init__.py" else place.with_suffix(".py")
        write_atomic(target, source.read_bytes())
    for twin, source in _twins(program, reader).items():
        write_atomic(building / twin, source.read_bytes())
    sources = list(files.values())
    facts = {
        "layout": LAYOUT,
        "roots": list(code.roots),
        "program": list(program.roots),
        "commit": commit_of(reader.root, [s for s in sources if s.is_relative_to(reader.root)]),
    }
    diffs = []
    for folder in (reader.root, *own.folders()):  # one's own may lie in a repository of their own, or in none
        inside = [s for s in sources if s.is_relative_to(folder)]
        facts["commit"] = facts["commit"] or commit_of(folder, inside)
        diffs.append((inside and git(folder, "diff", "HEAD", "--", *map(str, inside))) or "")
    write_atomic(building / "uncommitted.diff", "".join(dict.fromkeys(diffs)))
    write_atomic(building / FACTS, json.dumps(facts, indent=1, sort_keys=True))
    write_atomic(building / "__main__.py", _MAIN)
    record_files(building)


def _twins(program: Closure, reader: Reader) -> dict[Path, Path]:
    """Components of one's own that are packages, as files: where each lies in the snapshot, and its source.

    Names of components are those of files, which is part of every run's code. Beside the folder ``median/`` therefore
    lies a ``median.py`` with the text of its ``__init__.py``: it is listed and read, and the folder is imported.
    """
    found = {}
    for name in program.modules:
        path = own.file_of(name)
        if (
            path is not None
            and path.name == "__init__.py"
            and name.count(".") == 2
            and reader.file_of(name) == path
        ):
            found[Path(*name.split(".")).with_suffix(".py")] = path
    return found


class Codes:
    """The code of each snapshot as today's analyser digests it; ``cache`` remembers it and may be deleted."""

    def __init__(self, results: Path, cache: Path | None = None) -> None:
        self._results = results
        self._cache = Cache(cache, made_by=analyser())
        self._found: dict[str, dict[str, Any] | None] = {}

    def digest(self, name: str) -> str | None:
        """The digest of a snapshot's code, from its own roots; None if it is gone, edited, or of another layout."""
        found = self._look_up(name)
        return None if found is None else str(found["digest"])

    def definitions(self, name: str) -> dict[str, dict[str, str]] | None:
        """The digests of its definitions by module and name; None as for its digest."""
        found = self._look_up(name)
        return None if found is None else dict(found["definitions"])

    def _look_up(self, name: str) -> dict[str, Any] | None:
        if name not in self._found:
            self._found[name] = self._read(folder_of(name, self._results))
        return self._found[name]

    def save(self) -> None:
        """Keep what was digested for the next time."""
        self._cache.save()

    def _read(self, folder: Path) -> dict[str, Any] | None:
        try:
            text = (folder / FACTS).read_bytes()
            facts = json.loads(text)
            roots, files = list(facts["roots"]), dict(facts["files"])
            if facts["layout"] != LAYOUT:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        key = hashlib.sha256(text).hexdigest()  # it holds the digests of all files: equal snapshots are one
        known: dict[str, Any] | None = self._cache.get(key)
        if known is None:
            if not _is_unchanged(folder, files):
                return None
            try:
                code = Sources(folder).code(roots)
            except ConfigError:
                return None
            known = {"digest": code.digest, "definitions": code.definitions()}
            self._cache[key] = known
        return known


def _is_unchanged(folder: Path, files: dict[str, str]) -> bool:
    here = {str(file.relative_to(folder)) for file in (folder / "favit").rglob("*.py")}
    try:
        return here == set(files) and all(
            sha256_of(folder / name) == digest for name, digest in files.items()
        )
    except OSError:
        return False


@functools.lru_cache(maxsize=64)
def commit_in(folder: Path) -> str | None:
    """The commit that a snapshot was taken of; read once for the thousands of runs that may share it."""
    commit: str | None = json.loads((folder / FACTS).read_text())["commit"]
    return commit


def record_files(folder: Path) -> None:
    """Note the digests of a snapshot's source files among its facts."""
    files = sorted((folder / "favit").rglob("*.py"))
    facts = json.loads((folder / FACTS).read_text())
    facts["files"] = {str(file.relative_to(folder)): sha256_of(file) for file in files}
    write_atomic(folder / FACTS, json.dumps(facts, indent=1, sort_keys=True))


def _check_unchanged(folder: Path) -> None:
    """Raise ``CodeChanged`` for a snapshot whose files are not what they were when it was kept."""
    try:
        files: dict[str, str] = json.loads((folder / FACTS).read_text())["files"]
        changed = [name for name, digest in files.items() if sha256_of(folder / name) != digest]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        changed = [FACTS]
    if changed:
        raise CodeChanged(
            f"{folder / changed[0]} was edited after the snapshot was taken; delete {folder} and start again"
        )


def _publish(building: Path, target: Path) -> None:
    try:
        building.rename(target)
    except OSError:
        if not target.exists():  # otherwise another process was faster, with the same content
            raise
