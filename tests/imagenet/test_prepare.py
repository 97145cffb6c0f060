"""Preparing ImageNet: every layout, every oddity, every interruption."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from favit.data import _index, _stored
from favit.data._missing import DataMissing
from favit.prepare.__main__ import main
from tests.conftest import ROOT
from tests.imagenet import miniature

WHOLE = [i for i in range(24) if i != miniature.CORRUPT]
WHOLE_VAL = [i for i in range(9) if i != miniature.CORRUPT_VAL]


def prepare(root: Path, *options: str) -> int:
    return main(["--data", str(root), "--shard", "5", "--workers", "1", *options, "miniature"])


def index_of(root: Path) -> _index.Index:
    return _index.read(root / "miniature")


def pillow(data: bytes) -> np.ndarray:
    """As torchvision's ImageFolder reads a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_all_sound_images_are_there_with_their_classes_in_order(data: Path) -> None:
    found = _stored.load(data / "miniature", 4)
    assert found.class_names == miniature.SYNSETS
    assert found.train.labels.tolist() == [i // 6 for i in WHOLE]
    assert found.test.labels.tolist() == [miniature.val_labels()[i] for i in WHOLE_VAL]
    files = list(miniature.train_files().values())
    for place, image in zip(WHOLE, found.train.encoded(range(len(WHOLE))), strict=True):
        pixels = image.decode()
        np.testing.assert_array_equal(pixels, pillow(files[place]))
        assert pixels.shape == (image.height, image.width, 3)
    files = list(miniature.val_files().values())
    for place, image in zip(WHOLE_VAL, found.test.encoded(range(len(WHOLE_VAL))), strict=True):
        np.testing.assert_array_equal(image.decode(), pillow(files[place]))


def test_what_is_odd_is_named_and_not_fatal(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = index_of(data)
    corrupt_val = f"val/{miniature.val_name(miniature.CORRUPT_VAL)}"
    assert index.left_out == (miniature.train_name(miniature.CORRUPT), corrupt_val)
    assert index.cmyk == (miniature.train_name(miniature.CMYK),)
    assert index.not_jpeg == (miniature.train_name(miniature.PNG),)
    assert prepare(data) == 0
    said = capsys.readouterr().out
    assert "miniature: already prepared" in said
    for words in (
        f"skipped, damaged: {corrupt_val}",
        f"CMYK: {index.cmyk[0]}",
        f"not a JPEG: {index.not_jpeg[0]}",
    ):
        assert words in said


def test_shards_are_large_and_few(data: Path) -> None:
    shards = index_of(data).parts["train"].shards
    assert [s.examples for s in shards] == [5, 4, 5, 5, 4]
    assert len(list((data / "miniature").glob("*.array_record"))) == 5 + 2
    assert not list((data / "miniature").rglob(".*.tmp"))


@pytest.mark.parametrize("layout", ["sorted", "archives"])
def test_other_layouts_give_the_same(tmp_path: Path, data: Path, layout: str) -> None:
    if layout == "archives":
        miniature.build_archives(tmp_path / "miniature")
    else:
        miniature.build(tmp_path / "miniature", val="sorted")
    assert prepare(tmp_path) == 0
    one, other = (_stored.load(root / "miniature", 4) for root in (data, tmp_path))
    for part, n in (("train", len(WHOLE)), ("test", len(WHOLE_VAL))):
        left, right = getattr(one, part), getattr(other, part)
        order = range(n)
        if (layout, part) == ("sorted", "test"):  # by synset, not by number
            order = sorted(range(n), key=lambda i: (left.labels[i], i))
        assert right.labels.tolist() == left.labels[list(order)].tolist()
        pixels = zip(left.encoded(order), right.encoded(range(n)), strict=True)
        assert all(np.array_equal(a.decode(), b.decode()) for a, b in pixels)
    if layout == "archives":
        assert (tmp_path / "miniature/index.json").read_bytes() == (
            data / "miniature/index.json"
        ).read_bytes()


def test_in_place_reads_the_files_themselves(tmp_path: Path, data: Path) -> None:
    miniature.build(tmp_path / "miniature")
    assert prepare(tmp_path, "--in-place") == 0
    assert not list(tmp_path.rglob("*.array_record"))
    packed, direct = (_stored.load(root / "miniature", 4) for root in (data, tmp_path))
    assert direct.train.labels.tolist() == packed.train.labels.tolist()
    pairs = zip(packed.train.encoded(range(23)), direct.train.encoded(range(23)), strict=True)
    assert all(np.array_equal(a.decode(), b.decode()) for a, b in pairs)
    assert [s.content for s in index_of(tmp_path).parts["train"].shards] == [
        s.content for s in index_of(data).parts["train"].shards
    ]


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (f"train/{miniature.SYNSETS[2]}", "it and 5 more are absent or cut short; copy them"),
        (miniature.train_name(22), "it is absent or cut short; copy it"),
        ("val", "it and 7 more are absent"),
    ],
)
def test_images_that_are_gone_from_their_folders_are_told_and_not_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: str, said: str
) -> None:
    """As on a machine to which the index has been copied and the images only in part."""
    folder = miniature.build(tmp_path / "miniature")
    assert prepare(tmp_path, "--in-place") == 0
    gone = folder / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(DataMissing, match=rf"{lost}.* not found; {said}") as told:
        _stored.load(folder, 4)
    assert "\n" not in str(told.value)
    assert prepare(tmp_path, "--in-place") == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("killed_after", [1, 4])
def test_a_killed_preparation_goes_on(tmp_path: Path, data: Path, killed_after: int) -> None:
    """SIGKILL of the whole group after so many shards: none of these is made again."""
    folder = miniature.build(tmp_path / "miniature")
    code = (
        f"import sys, time; from pathlib import Path; sys.path.insert(0, {str(ROOT)!r});"
        "from tests.imagenet import conftest;"
        "from favit.prepare import pack; slow = pack._sound;"
        "pack._sound = lambda *a: (time.sleep(0.05), (yield from slow(*a)));"
        f"conftest.make_known(Path({str(tmp_path)!r})); conftest.main(['--data', {str(tmp_path)!r}, '--shard', '5',"
        " '--workers', '1', 'miniature'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL
    )
    end = time.monotonic() + 60
    while len(list(folder.glob(".prepare/*.json"))) < killed_after:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "index.json").exists()
    with pytest.raises(DataMissing, match="snakemake prepare"):
        _stored.load(folder, 4)
    before = {path: path.stat().st_mtime_ns for path in folder.glob(".prepare/*.json")}
    assert prepare(tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (folder / "index.json").read_bytes() == (data / "miniature/index.json").read_bytes()
    assert not list(folder.rglob(".*.tmp"))


def test_a_lost_shard_is_told_and_made_again(tmp_path: Path, data: Path) -> None:
    shutil.copytree(data / "miniature", tmp_path / "miniature")
    index = (tmp_path / "miniature/index.json").read_bytes()
    shard = tmp_path / "miniature/train-00003-of-00005.array_record"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(DataMissing, match=r"train-00003-of-00005.*absent or cut short") as told:
        _stored.load(tmp_path / "miniature", 4)
    assert "\n" not in str(told.value)
    assert prepare(tmp_path) == 0
    _stored.load(tmp_path / "miniature", 4)
    assert (tmp_path / "miniature/index.json").read_bytes() == index


def test_other_content_is_another_index(tmp_path: Path, data: Path) -> None:
    """The digest of the index stands for every byte of every image and for the labels."""
    miniature.build(tmp_path / "miniature")
    other = miniature.encoded(miniature.photograph(0), "JPEG") + b"\0"
    (tmp_path / "miniature" / miniature.train_name(7)).write_bytes(other)
    assert prepare(tmp_path) == 0
    assert (tmp_path / "miniature/index.json").read_bytes() != (data / "miniature/index.json").read_bytes()


def test_a_listing_of_another_index_is_refused(tmp_path: Path, data: Path) -> None:
    shutil.copytree(data / "miniature", tmp_path / "miniature")
    listing = tmp_path / "miniature/train.tsv"
    listing.write_text(listing.read_text().replace("0\t", "1\t", 1))
    with pytest.raises(ValueError, match=r"train\.tsv does not belong to"):
        _stored.load(tmp_path / "miniature", 4)


def break_nothing(folder: Path) -> None:
    shutil.rmtree(folder)


def break_train(folder: Path) -> None:
    shutil.rmtree(folder / "train")


def break_synset(folder: Path) -> None:
    shutil.rmtree(folder / "train/n02105855")


def break_image(folder: Path) -> None:
    (folder / miniature.train_name(3)).unlink()


def break_val(folder: Path) -> None:
    shutil.rmtree(folder / "val")


def break_val_image(folder: Path) -> None:
    (folder / "val" / miniature.val_name(8)).unlink()


def break_devkit(folder: Path) -> None:
    shutil.rmtree(folder / miniature.DEVKIT)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (break_nothing, "not found; create it and move or link"),
        (break_train, "has neither train/<synset>/*.JPEG nor ILSVRC2012_img_train.tar"),
        (break_synset, "class n02105855 of the development kit is missing in train"),
        (break_image, "23 of 24 training images"),
        (break_val, "neither val/<synset>/*.JPEG, val/*.JPEG nor ILSVRC2012_img_val.tar"),
        (break_val_image, "8 images in val, but the development kit lists 9"),
        (
            break_devkit,
            "has no folders of classes, so ILSVRC2012_devkit_t12 or ILSVRC2012_devkit_t12.tar.gz must be",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken, said: str
) -> None:
    broken(miniature.build(tmp_path / "miniature"))
    assert prepare(tmp_path) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.rglob("index.json"))


def test_the_archive_that_is_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = miniature.build_archives(tmp_path / "miniature")
    archive = folder / "ILSVRC2012_img_train.tar"
    archive.write_bytes(archive.read_bytes()[:5000])
    assert prepare(tmp_path) == 1
    error = capsys.readouterr().err
    assert "ILSVRC2012_img_train.tar" in error or "of 24 training images" in error
    assert error.count("\n") == 1


def test_two_at_once_do_not_meet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from filelock import FileLock

    folder = miniature.build(tmp_path / "miniature")
    with FileLock(folder / ".prepare.lock"):
        assert prepare(tmp_path) == 1
    assert "being prepared by another process" in capsys.readouterr().err


def test_the_real_counts_are_expected() -> None:
    from favit.components.literals import literals

    facts = literals("data", "imagenet1k")
    assert facts["COUNTS"] == {"train": 1281167, "val": 50000} and facts["FACTS"]["classes"] == 1000


def test_index_is_plain_json(data: Path) -> None:
    content = json.loads((data / "miniature/index.json").read_text())
    assert content["images"] == "array_record" and len(content["parts"]["train"]["shards"]) == 5
