"""Data sets are fetched whole and checked, or not at all; the server is one of our own on loopback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from favit.commands import fetch


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def declare(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    monkeypatch.setattr(fetch, "literals", lambda *_: facts)


def digest(path: Path, kind: str = "sha256") -> str:
    return hashlib.new(kind, path.read_bytes()).hexdigest()


def test_a_file_arrives_and_is_left_alone_afterwards(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    (folder / "a.csv").write_text("date,x\n")
    source = {"url": f"{url}/a.csv", "sha256": digest(folder / "a.csv")}
    declare(monkeypatch, FILES={"ett/a.csv": ""}, SOURCES={"ett/a.csv": source})
    fetch.fetch("etth1", tmp_path / "data")
    assert (tmp_path / "data/ett/a.csv").read_text() == "date,x\n"
    (folder / "a.csv").unlink()
    assert fetch.fetch("etth1", tmp_path / "data") == ["etth1: already there"]


def test_wrong_content_is_refused_and_leaves_nothing(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    (folder / "a.csv").write_text("something else")
    declare(monkeypatch, FILES={"a.csv": ""}, SOURCES={"a.csv": {"url": f"{url}/a.csv", "sha256": "0" * 64}})
    with pytest.raises(fetch.FetchFailed, match=r"a\.csv"):
        fetch.fetch("etth1", tmp_path / "data")
    assert not [p for p in (tmp_path / "data").rglob("*") if p.is_file()]


def test_an_archive_is_unpacked_into_place(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    inside = tmp_path / "pictures"
    inside.mkdir()
    (inside / "train").write_bytes(b"1")
    with tarfile.open(folder / "p.tar.gz", "w:gz") as tar:
        tar.add(inside, "pictures")
    source = {"url": f"{url}/p.tar.gz", "md5": digest(folder / "p.tar.gz", "md5")}
    declare(monkeypatch, FILES={"pictures/train": ""}, SOURCES={"p.tar.gz": source})
    half = tmp_path / "data" / "pictures"
    half.mkdir(parents=True)
    (half / "left over").touch()
    fetch.fetch("cifar100", tmp_path / "data")
    assert [p.name for p in half.iterdir()] == ["train"]
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["pictures"]


def test_what_cannot_be_fetched_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(["--data", str(tmp_path), "imagenet1k"]) == 1
    assert "imagenet1k" in capsys.readouterr().err
    assert fetch.main(["--data", str(tmp_path), "digits"]) == 0
    assert fetch.main(["--data", str(tmp_path), "cifar10"]) == 1
    assert "'cifar100'" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", ["cifar100", "etth1", "ettm1"])
def test_every_public_source_has_a_digest(dataset: str) -> None:
    sources = fetch.literals("data", dataset)["SOURCES"]
    assert sources and all(s["url"].startswith("https://") for s in sources.values())
    assert all(len(s.get("sha256", "")) == 64 or len(s.get("md5", "")) == 32 for s in sources.values())
