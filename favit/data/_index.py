"""``index.json``: what a prepared data set of images consists of, and whether all of it is there.

Beside it lie, for each part (``train``, ``val``), a listing with one line an
example, ``label<TAB>name``, in the order of the examples, and the shards that
hold their bytes; a data set that was indexed in place has the image files
instead. The index carries digests of all content, so that its own digest
stands for the data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from favit.data import _times
from favit.data._missing import DataMissing

NAME = "index.json"
PACKED, IN_PLACE = "array_record", "folder"
PARTS = ("train", "val")
_REMEDY = "make it with `snakemake prepare` (or `favit prepare --in-place`), which goes on where it stopped"


@dataclass(frozen=True)
class Shard:
    """Consecutive examples of a part, in one file or, in place, in files of their own."""

    file: str  # "" in place
    examples: int
    bytes: int  # of the file; in place, of all
    content: str  # SHA-256 over the bytes of all examples


@dataclass(frozen=True)
class Part:
    """One part's examples."""

    examples: int
    listing: str  # file name
    listing_sha256: str
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Index:
    """The content of ``index.json``; the lists name image files."""

    images: str  # PACKED or IN_PLACE
    classes: tuple[str, ...]  # in the order of the labels
    parts: Mapping[str, Part]
    left_out: tuple[str, ...] = field(default=())  # damaged
    cmyk: tuple[str, ...] = field(default=())
    not_jpeg: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read(folder: Path) -> Index:
    """The index of a prepared data set, whose files are as they were then as far as size and time tell.

    ``DataMissing`` says what is absent or cut short, ``ValueError`` what changed, each in one line.
    """
    index = read_unchecked(folder)
    _check(index, folder)
    return index


def read_unchecked(folder: Path) -> Index:
    """The index alone, without a look at the files that it names."""
    path = folder / NAME
    try:
        content = json.loads(path.read_text())
        return _parsed(content)
    except FileNotFoundError:
        raise DataMissing(path, _REMEDY) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no index of images ({error}); {_REMEDY}") from None


def labels_and_names(part: Part, folder: Path) -> tuple[list[int], list[str]]:
    """The listing of a part. ``ValueError`` if it is not the one that the index was made with."""
    content = (folder / part.listing).read_bytes()
    if hashlib.sha256(content).hexdigest() != part.listing_sha256:
        raise ValueError(f"{folder / part.listing} does not belong to {folder / NAME}; {_REMEDY}")
    rows = [line.split("\t", 1) for line in content.decode().splitlines()]
    return [int(label) for label, _ in rows], [name for _, name in rows]


def _parsed(content: Mapping[str, Any]) -> Index:
    parts = {
        name: Part(**{**part, "shards": tuple(Shard(**shard) for shard in part["shards"])})
        for name, part in content["parts"].items()
    }
    lists = {key: tuple(content[key]) for key in ("classes", "left_out", "cmyk", "not_jpeg")}
    return Index(images=content["images"], parts=parts, **lists)


def _check(index: Index, folder: Path) -> None:
    """``DataMissing`` naming the first file that is not there in full, ``ValueError`` the first that changed."""
    expected: dict[str, int | None] = {part.listing: None for part in index.parts.values()}
    for part in index.parts.values():
        expected.update({shard.file: shard.bytes for shard in part.shards if shard.file})
    wrong, changed = [name for name, size in expected.items() if not _there(folder / name, size)], []
    for name in () if wrong else index.parts:
        files = files_of(index, name, folder)
        now = _times.look(folder, files)
        wrong += [file for file, stat in zip(files, now, strict=True) if stat is None]
        changed += _times.changed(folder, name, files, now)
    if wrong:
        these, them = (f"it and {len(wrong) - 1:,} more are", "them") if wrong[1:] else ("it is", "it")
        raise DataMissing(folder / wrong[0], f"{these} absent or cut short; copy {them}, or {_REMEDY}")
    if changed:
        more = f" and {len(changed) - 1:,} more" if changed[1:] else ""
        raise ValueError(
            f"{folder / changed[0]}{more}: not the size or time that it had when the data set was prepared; "
            f"`favit prepare --verify {folder.name}` reads all of it and says whether the images are the same"
        )


def files_of(index: Index, name: str, folder: Path) -> list[str]:
    """The files below ``folder`` that hold a part's images, in their order."""
    part = index.parts[name]
    if index.images == IN_PLACE:
        return labels_and_names(part, folder)[1]
    return [shard.file for shard in part.shards]


def _there(path: Path, size: int | None) -> bool:
    try:
        return size is None or path.stat().st_size == size if path.exists() else False
    except OSError:
        return False
