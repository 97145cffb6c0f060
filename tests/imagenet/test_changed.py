"""Images that were changed after they had been prepared: noticed at the start by size and time, and by reading them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from favit.data import _stored
from favit.data._index import read
from tests.imagenet import miniature
from tests.imagenet.test_prepare import prepare

IMAGE = miniature.train_name(7)
SHARD = "train-00003-of-00005.array_record"


@pytest.fixture(params=["packed", "in place"])
def prepared(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file that holds images, of a data set prepared in either way."""
    folder = miniature.build(tmp_path / "miniature")
    assert prepare(tmp_path, *(["--in-place"] if request.param == "in place" else [])) == 0
    return folder / (IMAGE if request.param == "in place" else SHARD)


def overwrite(file: Path, keep_time: bool = False) -> bytes:
    """Change one byte of a file in place; returns what it held."""
    before, stat = file.read_bytes(), file.stat()
    file.write_bytes(before[:1000] + bytes([before[1000] ^ 1]) + before[1001:])
    if keep_time:
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return before


def load(file: Path) -> None:
    root = next(p for p in file.parents if p.name == "miniature")
    _stored.load(root, 4)


def test_a_job_refuses_images_that_were_overwritten(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = overwrite(prepared)
    with pytest.raises(
        ValueError, match="not the size or time that it had when the data set was prepared"
    ) as told:
        load(prepared)
    assert str(prepared) in str(told.value) and "`favit prepare --verify miniature`" in str(told.value)
    assert prepare(tmp_path, "--verify") == 1
    said = capsys.readouterr().err
    assert "changed since preparation" in said and said.count("\n") == 1
    prepared.write_bytes(before)
    with pytest.raises(ValueError, match="not the size or time"):
        load(prepared)
    assert prepare(tmp_path, "--verify") == 0
    assert "miniature: all 31 images match the index" in capsys.readouterr().out
    load(prepared)


def test_a_time_that_was_kept_is_found_out_by_verifying_only(prepared: Path, tmp_path: Path) -> None:
    overwrite(prepared, keep_time=True)
    load(prepared)
    assert prepare(tmp_path, "--verify") == 1


def test_in_a_copy_times_say_nothing(prepared: Path, tmp_path: Path) -> None:
    """As in one that a job makes on its node's own disk."""
    name = prepared.relative_to(tmp_path / "miniature")
    subprocess.run(["cp", "-r", tmp_path / "miniature", tmp_path / "copy"], check=True)
    _stored.load(tmp_path / "copy", 4)
    (tmp_path / "copy" / name).write_bytes(prepared.read_bytes() + b"\0")
    with pytest.raises((ValueError, FileNotFoundError), match=r"not the size|cut short"):
        _stored.load(tmp_path / "copy", 4)


def test_without_a_record_of_times_there_is_nothing_to_compare(prepared: Path, tmp_path: Path) -> None:
    """As in a data set from before there were any; verifying makes one."""
    folder = tmp_path / "miniature"
    for record in folder.glob(".*.stat"):
        record.write_bytes(b"torn")
    os.utime(prepared, (1, 1))
    load(prepared)
    assert prepare(tmp_path, "--verify") == 0
    overwrite(prepared)
    with pytest.raises(ValueError, match="not the size or time"):
        load(prepared)


def test_preparing_again_takes_what_is_there_now(tmp_path: Path) -> None:
    """Only the shard of the changed image is looked at again, and the index is another one: its runs are trained."""
    folder = miniature.build(tmp_path / "miniature")
    assert prepare(tmp_path, "--in-place") == 0
    index, records = (folder / "index.json").read_bytes(), sorted(folder.glob(".prepare/*.json"))
    times = [record.stat().st_mtime_ns for record in records]
    (folder / IMAGE).write_bytes(miniature.encoded(miniature.photograph(50)))
    assert prepare(tmp_path, "--in-place") == 0
    assert (folder / "index.json").read_bytes() != index
    assert sum(r.stat().st_mtime_ns != t for r, t in zip(records, times, strict=True)) == 1
    read(folder)


def test_an_image_that_changes_during_an_interrupted_preparation(tmp_path: Path) -> None:
    """The shard that it was in had been finished; it is made again."""
    one, other = (miniature.build(tmp_path / name / "miniature") for name in ("one", "other"))
    assert prepare(tmp_path / "one", "--in-place") == 0
    new = miniature.encoded(miniature.photograph(50))
    (one / "index.json").unlink()
    for folder in (one, other):
        (folder / IMAGE).write_bytes(new)
        assert prepare(folder.parent, "--in-place") == 0
    assert (one / "index.json").read_bytes() == (other / "index.json").read_bytes()


def test_an_unprepared_data_set_cannot_be_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    miniature.build(tmp_path / "miniature")
    assert prepare(tmp_path, "--verify") == 1
    assert "snakemake prepare" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "miniature")
