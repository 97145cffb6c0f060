"""Size and time of modification of each file of a prepared data set, kept beside its index and compared at each start.

They are no part of the index: its digest stands for the content, wherever that lies. A copy of the folder is another
folder (its inode says so), in which times say nothing and sizes alone are compared. What differs may still be what it
was; ``favit prepare --verify`` reads all of it to find out. Free of numpy.
"""

from __future__ import annotations

import os
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from favit.disk.files import write_atomic

_AT_ONCE = 16  # folders listed at a time: on a network most of it is waiting

Stat = tuple[int, int]  # bytes, time of modification in ns


def stat_of(path: Path) -> Stat:
    """A file's size and time of modification."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def keep(folder: Path, part: str, stats: Iterable[Stat]) -> None:
    """Write down the stats of a part's files, in their order."""
    numbers = array("Q", [folder.stat().st_ino, *(number for stat in stats for number in stat)])
    write_atomic(_file(folder, part), numbers.tobytes())


def kept(folder: Path, part: str, files: int) -> tuple[list[Stat], bool]:
    """The stats of so many files as they were kept, and whether times count; none where there is no such record."""
    numbers = array("Q")
    try:
        numbers.frombytes(_file(folder, part).read_bytes())
    except (OSError, ValueError):
        return [], False
    if len(numbers) != 1 + 2 * files:
        return [], False
    return list(zip(numbers[1::2], numbers[2::2], strict=True)), numbers[0] == folder.stat().st_ino


def look(folder: Path, names: Sequence[str]) -> list[Stat | None]:
    """Each file's stat, None for those that are not there; whole folders are listed, many at a time."""
    wanted = defaultdict(list)
    for place, name in enumerate(names):
        below, _, file = name.rpartition("/")
        wanted[below].append((file, place))
    found: list[Stat | None] = [None] * len(names)

    def list_one(below: str) -> None:
        there = _listed(folder / below, {file for file, _ in wanted[below]})
        for file, place in wanted[below]:
            found[place] = there.get(file)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(list_one, wanted))
    return found


def changed(folder: Path, part: str, names: Sequence[str], now: Sequence[Stat | None]) -> list[str]:
    """The files that are there and not as they were kept."""
    then, times_count = kept(folder, part, len(names))
    if not then:
        return []
    fields = slice(None) if times_count else slice(1)
    return [
        name
        for name, before, after in zip(names, then, now, strict=True)
        if after is not None and before[fields] != after[fields]
    ]


def _listed(folder: Path, wanted: set[str]) -> dict[str, Stat]:
    try:
        with os.scandir(folder) as entries:
            stats = ((entry.name, entry.stat()) for entry in entries if entry.name in wanted)
            return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _file(folder: Path, part: str) -> Path:
    return folder / f".{part}.stat"
