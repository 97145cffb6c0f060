"""Write an export: a folder or zip with everything behind a sweep's tables, checked by a manifest of digests."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from favit.disk.files import atomic_path, sha256_of, write_atomic
from favit.disk.run_folder import RunFolder
from favit.identity import snapshot
from favit.results.state import State

MANIFEST = "manifest.json"
RUNS, SNAPSHOTS, LOCK = "runs", "snapshots", "requirements.txt"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same export is the same zip


class NotWhole(ValueError):
    """The files of an export do not match its manifest; the message names the first that differs."""


def copy_runs(
    states: Sequence[State], root: Path, target: Path, weights: bool
) -> tuple[dict[str, str], list[str]]:
    """Copy the results that count and the code that made them.

    Returns what each run is called in the export, by its key, and the names of those whose code is gone.
    """
    names: dict[str, str] = {}
    without_code = []
    for state in states:
        if state.result is None:
            continue
        files = RunFolder(state.folder)
        name = f"{state.run['dataset']}.{state.run.name}"
        if name in names.values():  # told apart in their sweeps, and not between these
            name = f"{name}.{state.folder.name}"
        names[state.run.key] = name
        folder = target / RUNS / name
        folder.mkdir(parents=True)
        kept = [files.request, files.metrics, files.history, files.predictions, files.log, files.acceptances]
        for path in [*kept, *([files.weights] if weights else [])]:
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        _without_loggers(RunFolder(folder))
        made_by = str(state.result.content.get("snapshot"))
        code = snapshot.folder_of(made_by, root)
        if not code.is_dir():
            without_code.append(name)
        elif not (target / SNAPSHOTS / made_by).exists():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(code, target / SNAPSHOTS / made_by, ignore=ignored)
    return names, without_code


def _without_loggers(folder: RunFolder) -> None:
    """Whoever repeats the run has loggers of their own; where ours went is nobody's business."""
    try:
        request = json.loads(folder.request.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # a run of before, or not ours: it stays as it is
    if isinstance(request, dict) and request.pop("loggers", None) is not None:
        folder.write_request(request)


def write_manifest(folder: Path) -> None:
    """Note the digests of all files, by their paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
    write_atomic(folder / MANIFEST, json.dumps(digests, indent=1) + "\n")


def check(folder: Path) -> int:
    """Check every file against the manifest; returns their number. ``NotWhole`` names what differs."""
    try:
        wanted: Mapping[str, str] = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")).items())
    except OSError:
        raise NotWhole(f"{folder} is not an export: it has no {MANIFEST}") from None
    except (ValueError, AttributeError):
        raise NotWhole(f"{folder / MANIFEST} is damaged; export the sweep again") from None
    for name, digest in wanted.items():
        path = folder / name
        if "\0" in name or not path.resolve().is_relative_to(folder.resolve()):
            raise NotWhole(f"{folder / MANIFEST} names {name}, which is not in the export")
        if not path.is_file():
            raise NotWhole(f"{path} is missing")
        if sha256_of(path) != digest:
            raise NotWhole(f"{path} was changed after the export")
    for path in sorted(p for part in (RUNS, SNAPSHOTS) for p in (folder / part).rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in wanted and "__pycache__" not in path.parts:  # that is what executing a snapshot leaves
            raise NotWhole(f"{path} was added after the export")
    return len(wanted)


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``target`` as a whole: a folder, or a zip where the name ends so.

    ``FileExistsError`` where there is something already.
    """
    if target.exists():
        raise FileExistsError(f"{target} already exists; choose another name or delete it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent)) from None
    except OSError as error:  # told of by the name that was typed
        raise OSError(error.errno, error.strerror, str(target)) from None
    try:
        temporary.chmod(0o755)
        yield temporary
        write_manifest(temporary)
        if target.suffix == ".zip":
            with atomic_path(target) as path:
                _zip(temporary, target.stem, path)
        else:
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _zip(folder: Path, name: str, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}", _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            file.writestr(info, path.read_bytes())


def opened(export: Path, scratch: Path) -> Path:
    """The folder of an export; a zip is unpacked below ``scratch``. ``NotWhole`` if it is neither."""
    if export.is_dir():
        return export
    if not export.exists():
        raise NotWhole(f"{export} does not exist")
    if not zipfile.is_zipfile(export):
        raise NotWhole(f"{export} is not an export: it is neither a folder nor a whole zip")
    try:
        with zipfile.ZipFile(export) as file:
            for name in file.namelist():
                if os.path.isabs(name) or ".." in Path(name).parts:  # noqa: PTH117 - text, of a stranger's file
                    raise NotWhole(f"{export} contains {name}, which points outside of it")
            file.extractall(scratch)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise NotWhole(f"{export} is damaged or no zip of an export: {error}") from None
    folders = [path for path in scratch.iterdir() if (path / MANIFEST).is_file()]
    if len(folders) != 1:
        raise NotWhole(f"{export} is not an export: it has no folder with a {MANIFEST}")
    return folders[0]
