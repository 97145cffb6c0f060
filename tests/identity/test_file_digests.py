"""The digest of a data file is taken anew wherever its content may have changed, whatever its time says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from favit.disk.files import sha256_of
from favit.identity.fingerprint import FileDigests


def in_place(file: Path, other: Path) -> None:
    file.write_bytes(other.read_bytes())
    shutil.copystat(other, file)


def copied(file: Path, other: Path) -> None:
    shutil.copy2(other, file)  # as `cp -p` does


def moved(file: Path, other: Path) -> None:
    other.rename(file)


@pytest.mark.parametrize("change", [in_place, copied, moved])
def test_other_content_of_the_same_size_and_time(
    tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_bytes(b"1,2\n"), other.write_bytes(b"1,3\n")
    for path in (file, other):
        os.utime(path, ns=(10**18, 10**18))
    digests = FileDigests(tmp_path / "cache.json")
    before = digests.digest(file)
    digests.save()
    change(file, other)
    assert file.stat().st_mtime_ns == 10**18
    digests = FileDigests(tmp_path / "cache.json")
    assert digests.digest(file) == sha256_of(file) != before


def test_an_untouched_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"1,2\n")
    first = FileDigests(tmp_path / "cache.json")
    found = first.digest(file)
    first.save()
    monkeypatch.setattr("favit.identity.fingerprint.sha256_of", lambda path: pytest.fail("read again"))
    assert FileDigests(tmp_path / "cache.json").digest(file) == found


def test_a_cache_of_an_older_form_is_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"1,2\n")
    stat = file.stat()
    entries = f'{{"{file}": [{stat.st_size}, {stat.st_mtime_ns}, "wrong"]}}'
    (tmp_path / "cache.json").write_text(f'{{"made_by": "", "entries": {entries}}}')
    assert FileDigests(tmp_path / "cache.json").digest(file) == sha256_of(file)
