"""Find the images of an ImageNet-like data set, in any form in which it is distributed.

``train/<synset>/*.JPEG`` or ``ILSVRC2012_img_train.tar`` (a tar of one tar a
synset); ``val/<synset>/*.JPEG``, or ``val/*.JPEG`` or ``ILSVRC2012_img_val.tar``
with the development kit, which alone knows the classes of flat files.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_IMAGES = (".jpeg", ".jpg", ".png")
_AT_ONCE = 16  # folders listed at a time: on a network most of it is waiting
_DEVKIT = "ILSVRC2012_devkit_t12"
_TRUTH, _META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"


class Incomplete(RuntimeError):
    """Part of the data set is missing; the message says what, in one line."""


class Example(NamedTuple):
    """One image: a file, or a range of bytes in an archive."""

    label: int
    name: str  # below the data set's folder, archives seen as unpacked
    path: Path
    offset: int = 0
    size: int = -1  # bytes; -1: to the end

    def read(self) -> bytes:
        """The encoded image."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class Found(NamedTuple):
    """A data set's classes, in the order of the labels, and the examples of its parts."""

    classes: list[str]
    parts: dict[str, list[Example]]


def find(folder: Path) -> Found:
    """List all images below ``folder``, sorted by name. Raises ``Incomplete``."""
    of_synsets = _train(folder)
    classes = sorted(of_synsets)
    labels = {synset: label for label, synset in enumerate(classes)}
    train = [e._replace(label=labels[synset]) for synset in classes for e in of_synsets[synset]]
    return Found(classes, {"train": train, "val": _val(folder, labels)})


def _train(folder: Path) -> dict[str, list[Example]]:
    archive = folder / "ILSVRC2012_img_train.tar"
    if (folder / "train").is_dir():
        return _synset_folders(folder, "train")
    if archive.is_file():
        return _synset_archives(archive)
    raise Incomplete(f"{folder} has neither train/<synset>/*.JPEG nor {archive.name}")


def _val(folder: Path, labels: dict[str, int]) -> list[Example]:
    archive = folder / "ILSVRC2012_img_val.tar"
    if (folder / "val").is_dir():
        sorted_in = _synset_folders(folder, "val")
        if sorted_in:
            if strange := sorted(set(sorted_in) - set(labels)):
                raise Incomplete(f"class {strange[0]} of {folder / 'val'} is missing in {folder / 'train'}")
            return [e._replace(label=labels[s]) for s in sorted(sorted_in) for e in sorted_in[s]]
        flat = _files(folder / "val", "val")
    elif archive.is_file():
        flat = _members(archive, 0, "val")
    else:
        raise Incomplete(f"{folder} has neither val/<synset>/*.JPEG, val/*.JPEG nor {archive.name}")
    truth = _ground_truth(folder)
    if len(truth) != len(flat):
        raise Incomplete(
            f"{folder}: {len(flat):,} images in val, but the development kit lists {len(truth):,}"
        )
    if strange := sorted(set(truth) - set(labels)):
        raise Incomplete(f"{folder}: class {strange[0]} of the development kit is missing in train")
    return [e._replace(label=labels[synset]) for e, synset in zip(flat, truth, strict=True)]


def _synset_folders(folder: Path, part: str) -> dict[str, list[Example]]:
    synsets = sorted(entry.name for entry in os.scandir(folder / part) if entry.is_dir())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = pool.map(lambda s: _files(folder / part / s, f"{part}/{s}"), synsets)
        return dict(zip(synsets, listed, strict=True))


def _files(folder: Path, prefix: str) -> list[Example]:
    names = sorted(e.name for e in os.scandir(folder) if e.name.lower().endswith(_IMAGES))
    return [Example(-1, f"{prefix}/{name}", folder / name) for name in names]


def _synset_archives(archive: Path) -> dict[str, list[Example]]:
    with _tar(archive) as tar:
        inner = {Path(m.name).stem: m.offset_data for m in tar if m.name.endswith(".tar")}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = pool.map(lambda s: _members(archive, inner[s], f"train/{s}"), inner)
        return dict(zip(inner, listed, strict=True))


def _members(archive: Path, offset: int, prefix: str) -> list[Example]:
    """The images of the tar that begins at ``offset`` of a file."""
    with _tar(archive, offset) as tar:
        found = [
            Example(-1, f"{prefix}/{Path(m.name).name}", archive, m.offset_data, m.size)
            for m in tar
            if m.isfile() and m.name.lower().endswith(_IMAGES)
        ]
    return sorted(found, key=lambda e: e.name)


@contextmanager
def _tar(archive: Path, offset: int = 0) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file:
        file.seek(offset)
        try:
            with tarfile.open(fileobj=file) as tar:
                yield tar
        except (tarfile.TarError, EOFError) as error:
            raise Incomplete(f"{archive} is not a tar archive or is incomplete: {error}") from None


def _ground_truth(folder: Path) -> list[str]:
    """The synset of each validation image, in the order of their names."""
    read = _devkit(folder)
    synset_of = _synsets(read(_META))
    return [synset_of[int(number)] for number in read(_TRUTH).split()]


def _devkit(folder: Path) -> Callable[[str], bytes]:
    """What reads the development kit's files, unpacked or not."""
    archive, unpacked = folder / f"{_DEVKIT}.tar.gz", folder / _DEVKIT
    if (unpacked / _TRUTH).is_file():
        return lambda name: (unpacked / name).read_bytes()
    if not archive.is_file():
        raise Incomplete(
            f"{folder / 'val'} has no folders of classes, so {_DEVKIT} or {archive.name} must be beside it"
        )
    with _tar(archive) as tar:
        wanted = {f"{_DEVKIT}/{name}": name for name in (_TRUTH, _META)}
        found = {wanted[m.name.removeprefix("./")]: tar.extractfile(m).read() for m in _named(tar, wanted)}  # type: ignore[union-attr]
    if absent := [name for name in (_TRUTH, _META) if name not in found]:
        raise Incomplete(f"{archive} lacks {_DEVKIT}/{absent[0]}")
    return found.__getitem__


def _named(tar: tarfile.TarFile, wanted: Iterable[str]) -> Iterable[tarfile.TarInfo]:
    return (member for member in tar if member.name.removeprefix("./") in wanted)


def _synsets(meta: bytes) -> dict[int, str]:
    """ILSVRC2012_ID -> synset, of the leaves of the hierarchy."""
    from scipy.io import loadmat

    rows = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    return {int(r["ILSVRC2012_ID"]): str(r["WNID"]) for r in rows if not int(r["num_children"])}
