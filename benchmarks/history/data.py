"""Data for the replay: made up, but for the two series that the data sets hold to their digests."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 1000
EXAMPLES = {"train": 12, "val": 6}


def make(folder: Path, series: Path) -> Path:
    """Fill a folder of data sets; ``series`` holds ETTh1.csv and ETTm1.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ett").exists():
        (folder / "ett").symlink_to(series.resolve())
    rng = np.random.default_rng(0)
    _cifar(folder / "cifar-100-python", rng)
    _stored(folder / "imagenet1k", rng)
    days = [f"2020-01-01 {h:02}:00:00" for h in range(24)]
    hours = [day.replace("2020-01-01", f"2020-01-{d:02}") for d in range(1, 26) for day in days]
    values = rng.normal(size=(len(hours), 2)).round(3).tolist()
    rows = [f"{h},{a},{b}" for h, (a, b) in zip(hours, values, strict=True)]
    del rows[100:103]  # gaps to interpolate
    (folder / "made_up.csv").write_text("\n".join(["date,a,b", *rows, ""]))
    return folder


def _cifar(folder: Path, rng: np.random.Generator) -> None:
    folder.mkdir(exist_ok=True)
    for part, n in (("train", 40), ("test", 30)):
        labels = [int(label) for label in rng.integers(0, 100, n)]
        images = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        (folder / part).write_bytes(pickle.dumps({b"data": images, b"fine_labels": labels}))
    names = [f"class{i}".encode() for i in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": names}))


def _stored(folder: Path, rng: np.random.Generator) -> None:
    """A few photographs of noise, indexed in place as ``favit.prepare`` does."""
    parts = {}
    for part, examples in EXAMPLES.items():
        listing, content, size = [], hashlib.sha256(), 0
        for i in range(examples):
            file = io.BytesIO()
            side = 40 + 7 * i
            Image.fromarray(rng.integers(0, 256, (side, 60, 3), dtype=np.uint8)).save(file, "JPEG")
            name = f"{part}/n{i % 3:08}/{i}.JPEG"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(file.getvalue())
            listing.append(f"{i % 3}\t{name}\n")
            content.update(file.getvalue())
            size += len(file.getvalue())
        text = "".join(listing)
        (folder / f"{part}.tsv").write_text(text)
        shard = {"file": "", "examples": examples, "bytes": size, "content": content.hexdigest()}
        parts[part] = {
            "examples": examples,
            "listing": f"{part}.tsv",
            "listing_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "shards": [shard],
        }
    index = {"images": "folder", "classes": [f"n{i:08}" for i in range(CLASSES)], "parts": parts}
    (folder / "index.json").write_text(json.dumps({**index, "left_out": [], "cmyk": [], "not_jpeg": []}))
