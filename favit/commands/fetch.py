"""Download data sets from their official sources: ``favit fetch --data data cifar100 etth1``.

Each download is checked against the digest that its data set declares. Existing files are left alone; an archive is
unpacked in a temporary folder and then moved into place.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from favit.commands.main import command_line
from favit.components import registry
from favit.components.literals import literals
from favit.components.nearest import unknown
from favit.disk.files import atomic_path


class FetchFailed(RuntimeError):
    """A download failed; the message says which, and why."""


def fetch(dataset: str, root: Path) -> list[str]:
    """Download a data set's files below ``root``; returns one line for each. Raises ``FetchFailed``."""
    facts = literals("data", dataset)
    files, sources = list(facts.get("FILES", ())), facts.get("SOURCES", {})
    absent = [name for name in files if not (root / name).is_file()]
    if not files:
        return [f"{dataset}: nothing to download; it comes with a package or is your own file"]
    if not absent:
        return [f"{dataset}: already there"]
    if not sources:
        raise FetchFailed(
            f"{dataset}: {root / absent[0]} is missing; download it by hand, as it needs an account or a licence"
        )
    return [_bring(name, source, root) for name, source in sources.items()]


def _bring(name: str, source: Mapping[str, Any], root: Path) -> str:
    target = root / name
    if not name.endswith((".tar.gz", ".tgz")):
        with atomic_path(target) as temporary:
            _download(source, temporary)
        return f"{target} from {source['url']}"
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=_made(root)) as folder:
        archive = Path(folder) / "archive.tar.gz"
        _download(source, archive)
        unpacked = Path(folder) / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        for item in sorted(unpacked.iterdir()):
            _move(item, root / item.name)
    return f"{root} from {source['url']}"


def _download(source: Mapping[str, Any], target: Path) -> None:
    import pooch  # torch-free but slow to import

    digest = next(f"{kind}:{source[kind]}" for kind in ("sha256", "md5") if kind in source)
    try:
        pooch.retrieve(
            source["url"], digest, fname=target.name, path=target.parent, progressbar=sys.stderr.isatty()
        )
    except (OSError, ValueError) as error:
        raise FetchFailed(f"{source['url']}: {' '.join(str(error).split())}") from None


def _move(item: Path, target: Path) -> None:
    if target.is_dir():  # an earlier, incomplete folder
        shutil.rmtree(target)
    item.rename(target)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main(arguments: Sequence[str]) -> int:
    """Download the named data sets."""
    parser = command_line("fetch", __doc__)
    parser.add_argument("datasets", nargs="*", help=f"data sets: {', '.join(registry.names('data'))}")
    parser.add_argument(
        "--data", default="data", type=Path, help="folder for the data sets (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if not options.datasets:  # a workflow whose data all come with packages names none
        print(f"no data set named; valid: {', '.join(registry.names('data'))}", file=sys.stderr)
    failed = False
    for name in options.datasets:
        if name not in registry.names("data"):
            print(unknown(f"data set '{name}'", name, registry.names("data")), file=sys.stderr)
            return 1
        try:
            print("\n".join(fetch(name, options.data)))
        except FetchFailed as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)
