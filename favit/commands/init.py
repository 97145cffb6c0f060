"""Create a project in an empty folder, or bring one to this version: ``favit init my-project``.

The project gets what a checkout has besides the code: the Snakefile and its rules, the profile for SLURM, the
configuration with all sweeps, and a folder ``my_lab`` for your own components. Existing files are never overwritten,
but by ``--update``, which says what it does and loses nothing (``_update.py``).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from favit.commands import _update
from favit.commands.main import command_line
from favit.components import registry
from favit.disk.files import write_atomic
from favit.identity.versions import installed
from favit.sweeps import shipped
from favit.sweeps.config import ConfigError

LAB = "my_lab"

_OFF, _ON = f"# components: [{LAB}]", f"components: [{LAB}]"
_IGNORED = "/data\n/results\n/.snakemake\n__pycache__/\n"
_ABOUT = f"""# Components of your own

One file for each component, in {", ".join(f"`{kind}/`" for kind in registry.KINDS)} beside this text; the name of the
file is the name in `config.yaml`. `python -c "import favit.aggregators; help(favit.aggregators)"` prints the contract
of aggregators, and `favit check {LAB}` tests your files against it. Files whose name begins with `_` are not
components but helpers: `from favit.aggregators._shared import ...` imports `aggregators/_shared.py` of this folder.
"""


def main(arguments: Sequence[str]) -> int:
    """Create or update the project; the exit status is 1 if the folder is not empty, or holds none."""
    parser = command_line("init", __doc__)
    parser.add_argument(
        "folder", nargs="?", default=".", type=Path, help="folder of the project (default: this one)"
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="bring the Snakefile, rules and profiles of a project to this version; keeps what you changed",
    )
    options = parser.parse_args(arguments)
    target: Path = options.folder
    if options.update:
        files = dict(_files())
        print("\n".join(_update.update(target, files, record(files))))
        return 0
    lay_out(target)
    where = "" if target.resolve() == Path.cwd() else f"cd {target} && "
    print(f"created {target}; next: {where}snakemake -n demo-digits shows what would run", file=sys.stderr)
    return 0


def lay_out(target: Path) -> None:
    """Write the project's files. ``ConfigError`` if other files exist; then nothing is written.

    A folder that is not there appears as a whole. One that is there is filled file by file, the Snakefile last, and
    after an interruption the same call goes on.
    """
    files = dict(_files())
    files = {shipped.RECORD: record(files), **files}
    if target.exists() or target.is_symlink():
        _check_free(target, files)
        for name, content in files.items():
            if name == shipped.RECORD or not (target / name).exists():
                write_atomic(target / name, content)
        return
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
    try:
        building.chmod(0o777 & ~_umask())
        for name, content in files.items():
            write_atomic(building / name, content)
        building.rename(target)  # fails where something stands there meanwhile, unless it is an empty folder
    except OSError as error:
        raise ConfigError(f"cannot create {target}: {error.strerror}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def record(files: Mapping[str, bytes]) -> bytes:
    """What ``shipped.RECORD`` holds of these files."""
    digests = {name: shipped.digest_of(content) for name, content in sorted(files.items())}
    return (
        json.dumps({"version": installed("favit-probsparse"), "files": digests}, indent=1) + "\n"
    ).encode()


def _files() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, ``shipped.LAST`` at the end."""
    yield ".gitignore", _IGNORED.encode()
    yield f"{LAB}/README.md", _ABOUT.encode()
    root = shipped.folder()
    for name in sorted(shipped.NAMES, key=lambda name: name == shipped.LAST):
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                content = file.read_bytes()
                if name == "config.yaml":
                    assert _OFF.encode() in content
                    content = content.replace(_OFF.encode(), _ON.encode())
                yield str(file.relative_to(root)), content


def _check_free(target: Path, files: dict[str, bytes]) -> None:
    """``ConfigError`` unless the folder holds at most hidden files (``.git``) and files of an earlier call."""
    if not target.is_dir():
        raise ConfigError(f"{target} is not a folder")
    if not os.access(target, os.W_OK):
        raise ConfigError(f"no permission to write to {target}")
    if (target / shipped.LAST).exists() and (target / "workflow").is_dir():
        raise ConfigError(
            f"{target} already holds a project; `favit init --update {target}` brings it to this version of favit"
        )
    ours = {Path(name).parts[0] for name in files}
    strange = sorted(p.name for p in target.iterdir() if p.name not in ours and not p.name.startswith("."))
    written = [(n, content) for n, content in files.items() if n != shipped.RECORD]
    changed = [n for n, content in written if (p := target / n).exists() and _differs(p, content)]
    if found := [*strange, *changed]:
        raise ConfigError(f"{target} is not empty: it has {found[0]}; choose an empty folder")


def _differs(path: Path, content: bytes) -> bool:
    return not path.is_file() or path.read_bytes() != content


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
