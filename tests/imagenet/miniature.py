"""A data set in ImageNet's exact layout, of a few small photographs, with what is odd about ImageNet's own.

Imported by path, by tests and benchmarks.
"""

from __future__ import annotations

import io
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

SYNSETS = ("n01440764", "n01443537", "n02105855", "n15075141")
A_SYNSET, IN_VAL = 6, 9
COUNTS = {"train": len(SYNSETS) * A_SYNSET, "val": IN_VAL}

# Places, among the training images in order, of what is odd
CMYK, CORRUPT, GREY, PNG = 2, 9, 13, 20
CORRUPT_VAL = 4

# The kit numbers synsets in an order of its own
_ID = {"n01440764": 3, "n01443537": 1, "n02105855": 4, "n15075141": 2}
_VAL_CLASSES = [3, 0, 1, 2, 2, 1, 0, 3, 3]

DEVKIT = "ILSVRC2012_devkit_t12"

MODULE = '''"""A miniature in ImageNet's layout."""

from favit.data import _stored

TASK = "classification"
FEED = "stored"
FACTS = {"classes": 4, "channels": 3, "image_size": 32}
FILES = {"miniature/index.json": ""}
COUNTS = {"train": 24, "val": 9}


def load(root, run):
    return _stored.load(root / "miniature", FACTS["classes"])
'''


@cache
def photographs() -> tuple[Image.Image, ...]:
    """Two real photographs of 640 x 427."""
    from sklearn.datasets import load_sample_images

    return tuple(map(Image.fromarray, load_sample_images().images))


def photograph(number: int) -> Image.Image:
    """A piece of one, different for each number, tall or wide."""
    rng = np.random.default_rng(number)
    image = photographs()[number % 2]
    width, height = (int(x) for x in rng.integers(60, 110, 2))
    left, top = int(rng.integers(0, image.width - 2 * width)), int(rng.integers(0, image.height - 2 * height))
    return image.crop((left, top, left + 2 * width, top + 2 * height)).resize((width, height))


def encoded(image: Image.Image, format: str = "JPEG") -> bytes:
    """As a file."""
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def train_files() -> dict[str, bytes]:
    """Path below ``train`` -> content."""
    contents = [encoded(photograph(i)) for i in range(COUNTS["train"])]
    contents[CMYK] = encoded(photograph(CMYK).convert("CMYK"))
    contents[CORRUPT] = contents[CORRUPT][: len(contents[CORRUPT]) // 2]
    contents[GREY] = encoded(photograph(GREY).convert("L"))
    contents[PNG] = encoded(photograph(PNG), "PNG")
    places = [(synset, i) for synset in SYNSETS for i in range(A_SYNSET)]
    return {f"{s}/{s}_{i}.JPEG": data for (s, i), data in zip(places, contents, strict=True)}


def train_name(place: int) -> str:
    """The file of a training image, from its place among all."""
    synset = SYNSETS[place // A_SYNSET]
    return f"train/{synset}/{synset}_{place % A_SYNSET}.JPEG"


def val_files() -> dict[str, bytes]:
    """Path below ``val``, flat -> content."""
    contents = [encoded(photograph(100 + i)) for i in range(IN_VAL)]
    contents[CORRUPT_VAL] = b"\xff\xd8 no photograph"
    return {val_name(i): data for i, data in enumerate(contents)}


def val_name(place: int) -> str:
    """The file of a validation image."""
    return f"ILSVRC2012_val_{place + 1:08d}.JPEG"


def val_labels() -> list[int]:
    """Their classes."""
    return list(_VAL_CLASSES)


def devkit_files() -> dict[str, bytes]:
    """Path below the development kit -> content."""
    from scipy.io import savemat

    rows = [(number, synset, 0) for synset, number in _ID.items()] + [(5, "n00001740", 4)]
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)]
    file = io.BytesIO()
    savemat(file, {"synsets": np.array(sorted(rows), dtype=fields)[:, None]})
    truth = "".join(f"{_ID[SYNSETS[label]]}\n" for label in _VAL_CLASSES)
    return {
        "data/meta.mat": file.getvalue(),
        "data/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
    }


def build(folder: Path, val: str = "flat") -> Path:
    """Folders, with ``val`` flat or sorted into synsets."""
    files = {f"train/{name}": data for name, data in train_files().items()}
    flat = val_files()
    if val == "flat":
        files |= {f"val/{name}": data for name, data in flat.items()}
        files |= {f"{DEVKIT}/{name}": data for name, data in devkit_files().items()}
    else:
        places = zip(_VAL_CLASSES, flat.items(), strict=True)
        files |= {f"val/{SYNSETS[label]}/{name}": data for label, (name, data) in places}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def build_archives(folder: Path) -> Path:
    """The three archives as they are downloaded."""
    folder.mkdir(parents=True)
    train = train_files()
    inner = {
        f"{s}.tar": _tar({n.split("/")[1]: d for n, d in train.items() if n.startswith(s)}) for s in SYNSETS
    }
    (folder / "ILSVRC2012_img_train.tar").write_bytes(_tar(inner))
    (folder / "ILSVRC2012_img_val.tar").write_bytes(_tar(val_files()))
    kit = {f"{DEVKIT}/{name}": data for name, data in devkit_files().items()}
    (folder / f"{DEVKIT}.tar.gz").write_bytes(_tar(kit, "w:gz"))
    return folder


def _tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()
