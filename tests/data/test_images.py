"""The image data sets: digits from scikit-learn, CIFAR-100 from the official archive's layout."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from favit.data import cifar100, digits
from favit.data._images import ImageData
from favit.data._missing import DataMissing


def test_digits_are_split_alike_within_each_class_and_nothing_is_in_both() -> None:
    data = digits.load(Path("nowhere"), {})
    assert data.train_images.shape == (1442, 3, 8, 8) and data.test_images.shape == (355, 3, 8, 8)
    assert data.train_images.dtype == torch.uint8 and data.train_labels.dtype == torch.int64
    train, test = data.train_labels.bincount(), data.test_labels.bincount()
    assert (test == (train + test) // 5).all(), "every fifth image of each class"
    assert data.class_names == tuple("0123456789") and digits.FACTS["classes"] == 10


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    theirs = load_digits()
    data = digits.load(Path("nowhere"), {})
    together = torch.cat([data.train_images, data.test_images])
    assert (together == together[:, :1]).all(), "three equal channels"
    grey = together[:, 0].double() * 16 / 255
    labels = torch.cat([data.train_labels, data.test_labels])
    ours = sorted(
        (int(label), tuple(pixels))
        for label, pixels in zip(labels, grey.round().int().flatten(1).tolist(), strict=True)
    )
    assert ours == sorted(
        (int(t), tuple(map(int, i.flatten()))) for t, i in zip(theirs.target, theirs.images, strict=True)
    )


def test_digits_statistics_are_of_the_training_part() -> None:
    data = digits.load(Path("nowhere"), {})
    pixels = data.train_images.double().numpy() / 255
    assert data.mean == pytest.approx([pixels.mean()] * 3) and data.std == pytest.approx([pixels.std()] * 3)


def test_limits_take_the_first() -> None:
    data = digits.load(Path("nowhere"), {})
    small = data.limited(10, 0)
    assert torch.equal(small.train_images, data.train_images[:10]) and len(small.train_labels) == 10
    assert small.test_images is data.test_images or torch.equal(small.test_images, data.test_images)
    assert small.mean == data.mean


def archive(folder: Path, train: int = 6, test: int = 4) -> None:
    """A miniature of the official archive: rows of 3,072 bytes, red, green and blue planes row by row."""
    target = folder / "cifar-100-python"
    target.mkdir()
    for part, n in (("train", train), ("test", test)):
        rows = np.arange(n * 3072, dtype=np.int64).reshape(n, 3072) % 251
        content = {b"data": rows.astype(np.uint8), b"fine_labels": list(range(n)), b"coarse_labels": [0] * n}
        (target / part).write_bytes(pickle.dumps(content))
    names = {b"fine_label_names": [f"class {i}".encode() for i in range(100)], b"coarse_label_names": []}
    (target / "meta").write_bytes(pickle.dumps(names))


def test_cifar100_planes_are_in_order(tmp_path: Path) -> None:
    archive(tmp_path)
    data = cifar100.load(tmp_path, {})
    assert isinstance(data, ImageData)
    assert data.train_images.shape == (6, 3, 32, 32) and data.test_images.shape == (4, 3, 32, 32)
    for n, channel, row, column in [(0, 0, 0, 0), (5, 2, 31, 31), (3, 1, 4, 17)]:
        place = n * 3072 + channel * 1024 + row * 32 + column
        assert data.train_images[n, channel, row, column] == place % 251
    assert data.train_labels.tolist() == list(range(6)) and data.class_names[99] == "class 99"


@pytest.mark.parametrize("part", ["train", "test", "meta"])
def test_an_absent_file_is_named_with_its_remedy(tmp_path: Path, part: str) -> None:
    archive(tmp_path)
    missing = tmp_path / "cifar-100-python" / part
    missing.unlink()
    with pytest.raises(DataMissing, match="snakemake data") as error:
        cifar100.load(tmp_path, {})
    assert error.value.path == missing


def test_half_a_file_is_told(tmp_path: Path) -> None:
    archive(tmp_path)
    path = tmp_path / "cifar-100-python" / "train"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cifar-100-python/train is damaged .*snakemake data"):
        cifar100.load(tmp_path, {})


def test_sources_name_the_official_archive() -> None:
    (source,) = cifar100.SOURCES.values()
    assert (
        source["url"].startswith("https://www.cs.toronto.edu/")
        and len(source["md5"]) == hashlib.md5().digest_size * 2
    )


@pytest.mark.slow
def test_the_real_cifar100(real_data: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(real_data / "unpack_cifar100"), str(tmp_path)], check=True)
    data = cifar100.load(tmp_path, {})
    assert data.train_images.shape == (50_000, 3, 32, 32) and data.test_images.shape == (10_000, 3, 32, 32)
    assert (data.train_labels.bincount() == 500).all() and (data.test_labels.bincount() == 100).all()
    pixels = data.train_images.double() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx(data.mean, abs=1e-5)
    assert pixels.std((0, 2, 3), correction=0).tolist() == pytest.approx(data.std, abs=1e-5)
    assert len(set(data.class_names)) == 100 == cifar100.FACTS["classes"]
