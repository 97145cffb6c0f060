"""A folder of pictures that is not laid out as it was meant, though its pictures could be read. Free of torch.

Apart from what loads the pictures, which is part of a run's code.
"""

from __future__ import annotations

from pathlib import Path

from favit.data import _index, _pictures

_PARTS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")


def check(folder: Path, scored: str, share: float, seed: int) -> _pictures.Listed | None:
    """The pictures of a folder by their names, as ``_pictures.listed`` has them; None where it is prepared or absent.

    ``ValueError`` of one line for a folder that cannot be meant so.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file; dataset.path names a folder")
    if (folder / _index.NAME).is_file() or not folder.is_dir():
        return None  # which is told as such
    below = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    parts = [name for name in below if name.lower() in _PARTS]
    if "train" not in below and parts and parts == below:
        raise ValueError(
            f"{folder} has {', '.join(f'{name}/' for name in parts)}, which would be taken for classes; the parts are "
            "called train/, test/ and val/, each with a folder for each class"
        )
    odd = [name for name in parts if name.lower() not in ("train", *_pictures.PARTS)]
    if odd and not set(_pictures.PARTS) & set(below):
        raise ValueError(f"{folder} has {odd[0]}/, which is not looked at; call it test/ or val/")
    classes = folder / "train" if "train" in below else folder
    _check_kinds(classes)
    found = _pictures.listed(folder, scored, share, seed)
    if len(found.classes) == 1:
        raise ValueError(
            f"{classes} has one folder, '{found.classes[0]}', and so one class; at least two are needed, each with its "
            "pictures in a folder of its own"
        )
    return found


def _check_kinds(folder: Path) -> None:
    """No class has only files of kinds that are passed over."""
    for below in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        kinds = {p.suffix.lower() for p in below.rglob("*") if p.is_file() and not p.name.startswith(".")}
        if kinds and not kinds & set(_pictures.SUFFIXES):
            raise ValueError(
                f"{below} has files, but no pictures that can be read: {', '.join(sorted(kinds))}; allowed: "
                f"{', '.join(_pictures.SUFFIXES)}"
            )
