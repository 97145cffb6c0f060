"""Read all images of a prepared data set again and compare them with its index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from favit.data import _index, _times
from favit.data._index import IN_PLACE, PARTS
from favit.data._times import Stat
from favit.prepare.pack import digest_one
from favit.prepare.sources import Incomplete


@dataclass(frozen=True)
class Piece:
    """One shard as the index describes it: its files below ``folder`` and the digest of what they should hold."""

    folder: Path
    name: str
    files: tuple[str, ...]
    examples: int
    content: str
    packed: bool


def verify(dataset: str, folder: Path, workers: int) -> list[str]:
    """Compare the content of all images with the index; returns what there is to say.

    Sizes and times are kept anew where everything is as it was. Raises ``Incomplete`` for what is not, and what
    reading the index raises.
    """
    index = _index.read_unchecked(folder)
    images = 0
    stats: dict[str, list[Stat]] = {}
    with ProcessPoolExecutor(workers) as pool:
        for part in PARTS:
            found = list(pool.map(look, _pieces(index, part, folder)))
            wrong = [piece for piece, same, _ in found if not same]
            if wrong:
                more = f" and {len(wrong) - 1:,} more of {part}" if wrong[1:] else ""
                raise Incomplete(
                    f"{folder}: {wrong[0].name}{more} changed since preparation; restore it, or prepare the data "
                    "again to train on it as it is"
                )
            images += index.parts[part].examples
            stats[part] = [stat for _, _, those in found for stat in those]
    for part, those in stats.items():
        _times.keep(folder, part, those)
    return [f"{dataset}: all {images:,} images match the index"]


def look(piece: Piece) -> tuple[Piece, bool, list[Stat]]:
    """Whether a shard's images are those of the index, and its files' stats from before they were read."""
    digest = hashlib.sha256()
    try:
        stats = [_times.stat_of(piece.folder / name) for name in piece.files]
        for data in _packed(piece) if piece.packed else _in_place(piece):
            digest_one(digest, data)
    except (OSError, ValueError, RuntimeError):  # the last is how its reader says that a shard is damaged
        return piece, False, []
    return piece, digest.hexdigest() == piece.content, stats


def _in_place(piece: Piece) -> Iterator[bytes]:
    return ((piece.folder / name).read_bytes() for name in piece.files)


def _packed(piece: Piece) -> Iterator[bytes]:
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(piece.folder / piece.files[0]))
    if reader.num_records() != piece.examples:
        raise ValueError
    yield from (reader.read([place])[0] for place in range(piece.examples))
    reader.close()


def _pieces(index: _index.Index, part: str, folder: Path) -> Iterator[Piece]:
    files, begin = _index.files_of(index, part, folder), 0
    for number, shard in enumerate(index.parts[part].shards):
        if index.images == IN_PLACE:
            own, name = files[begin : begin + shard.examples], f"shard {number} of {part}"
            begin += shard.examples
        else:
            own, name = [shard.file], shard.file
        yield Piece(folder, name, tuple(own), shard.examples, shard.content, index.images != IN_PLACE)
