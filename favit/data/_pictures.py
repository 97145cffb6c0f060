"""Pictures in folders by class: which there are, and which of them are for training. Free of torch.

Two layouts: ``train/<class>/*`` beside ``test/<class>/*`` or ``val/<class>/*``, or ``<class>/*`` alone, which a share
and a seed split. Pictures may lie in folders below their class; hidden files and those of other kinds are passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from favit.data._missing import DataMissing

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
PARTS = ("test", "val")  # what may be scored, the first that is there

Named = tuple[int, str]  # label, and name below the folder


class Listed(NamedTuple):
    """The classes in the order of their labels, and the pictures of both parts, by class and name."""

    classes: tuple[str, ...]
    train: list[Named]
    test: list[Named]


def listed(folder: Path, scored: str, share: float, seed: int) -> Listed:
    """The pictures below ``folder``.

    ``scored`` is ``test``, ``val`` or ``auto`` for the first that is there; ``share`` of each class, at least one
    picture, is for the test where there is no ``train`` folder, chosen by ``seed``. ``DataMissing`` without the folder,
    and ``ValueError`` of one line for a layout that is none of these.
    """
    if not folder.is_dir():
        raise DataMissing(folder, "dataset.path names it, relative to the folder of the data")
    if not (folder / "train").is_dir():
        return _split(folder, share, seed)
    there = [part for part in PARTS if (folder / part).is_dir()]
    part = scored if scored != "auto" else next(iter(there), "test")
    if part not in there:
        raise ValueError(
            f"{folder} has train/ and no {part}/; "
            + (f"dataset.scored: {there[0]} takes that" if there else _LAYOUT)
        )
    classes, strange = _classes(folder / "train"), set(_classes(folder / part))
    if more := sorted(strange - set(classes)):
        raise ValueError(f"{folder / part} has a class '{more[0]}', which train/ has not")
    train, test = (
        [(i, n) for i, c in enumerate(classes) for n in _names(folder, f"{p}/{c}")] for p in ("train", part)
    )
    _check_every_class(folder / "train", classes, train)
    if not test:
        raise ValueError(f"{folder / part} holds no picture; {_LAYOUT}")
    return Listed(classes, train, test)


def held_out(names: Iterable[str], share: float, seed: int) -> set[str]:
    """The names of a class that are for the test: those of the smallest digests with the seed.

    A picture that is added or removed moves at most one other from part to part.
    """
    ordered = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return set(ordered[: max(1, round(share * len(ordered)))])


def _split(folder: Path, share: float, seed: int) -> Listed:
    classes = _classes(folder)
    train: list[Named] = []
    test: list[Named] = []
    for label, name in enumerate(classes):
        found = _names(folder, name)
        if len(found) == 1:
            raise ValueError(f"{folder / name} holds one picture, which cannot be split; add some")
        out = held_out(found, share, seed)
        train += [(label, n) for n in found if n not in out]
        test += [(label, n) for n in found if n in out]
    _check_every_class(folder, classes, train)
    return Listed(classes, train, test)


_LAYOUT = "pictures lie in train/<class>/ beside test/<class>/ or val/<class>/, or in <class>/ to be split"


def _classes(folder: Path) -> tuple[str, ...]:
    found = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if not found:
        raise ValueError(f"{folder} has no folder of a class; {_LAYOUT}")
    return found


def _names(folder: Path, below: str) -> list[str]:
    """The pictures of a class, sorted."""
    found = (p.relative_to(folder) for p in (folder / below).rglob("*") if p.suffix.lower() in SUFFIXES)
    return sorted(str(p) for p in found if not any(part.startswith(".") for part in p.parts))


def _check_every_class(folder: Path, classes: Iterable[str], train: list[Named]) -> None:
    having = {label for label, _ in train}
    if empty := [name for label, name in enumerate(classes) if label not in having]:
        raise ValueError(f"{folder / empty[0]} holds no picture to train on; fill or remove it")
