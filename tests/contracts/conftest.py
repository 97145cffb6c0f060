"""A folder of components of one's own, which a test fills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from favit.components import own
from favit.sweeps import resolve

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes ``room/name`` with some text into the folder, which is in use from then on."""
    lab = tmp_path / "my_lab"

    def written(where: str, text: str) -> Path:
        file = lab / f"{where}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        own.use([lab])
        resolve.forget()
        return file

    yield written
    own.use(())
    resolve.forget()
