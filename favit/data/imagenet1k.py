"""ImageNet-1K (Russakovsky et al. 2015): 1,281,167 images for training and 50,000 for validation in 1,000 classes.

It has to be downloaded by hand (https://image-net.org, an account is needed)
and is packed once with ``snakemake prepare``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.data import _stored
from favit.data._stored import StoredImages

TASK = "classification"
FEED = "stored"
FACTS = {"classes": 1000, "channels": 3, "image_size": 224}
FILES = {"imagenet1k/index.json": ""}
COUNTS = {"train": 1281167, "val": 50000}
BYTES = 154_642_401_280  # of the two archives of images; packed about as much


def load(root: Path, run: Mapping[str, Any]) -> StoredImages:
    """The prepared data set. ``DataMissing`` names the first incomplete file."""
    return _stored.load(Path(root) / "imagenet1k", FACTS["classes"])
