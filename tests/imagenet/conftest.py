"""A miniature of ImageNet, prepared once, and a data set that names it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from favit.components import registry, source
from favit.prepare.__main__ import main
from tests.imagenet import miniature


def make_known(folder: Path) -> pytest.MonkeyPatch:
    """Make the miniature a data set like any other, though its file is not in the package but in ``folder``."""
    module = types.ModuleType("favit.data.miniature")
    exec(miniature.MODULE, module.__dict__)
    file = folder / "miniature.py"
    file.write_text(miniature.MODULE)
    patch = pytest.MonkeyPatch()
    names, load, file_of = registry.names, registry.load, source.file_of
    patch.setattr(registry, "names", lambda kind: names(kind) + ["miniature"] * (kind == "data"))
    patch.setattr(registry, "load", lambda k, n: module if (k, n) == ("data", "miniature") else load(k, n))
    patch.setattr(source, "file_of", lambda *p: file if p == ("data", "miniature") else file_of(*p))
    return patch


@pytest.fixture(scope="module", autouse=True)
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The miniature is a data set like any other, in these tests."""
    patch = make_known(tmp_path_factory.mktemp("module"))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the miniature packed into shards of five images."""
    root = tmp_path_factory.mktemp("data")
    miniature.build(root / "miniature")
    patch = make_known(tmp_path_factory.mktemp("module"))
    assert main(["--data", str(root), "--shard", "5", "--workers", "1", "miniature"]) == 0
    patch.undo()
    return root
