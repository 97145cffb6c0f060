"""A package whose components a test may write: those of the house, copied, and whatever is added."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from favit.components import declared, literals, old_form, registry, source
from favit.sweeps import resolve

PACKAGE = Path(source.__file__).parents[1]

CACHES = (
    *(source.source, literals.literals, literals.families, old_form._warn_once),
    *(declared.settings, declared.training, declared._rule, resolve._resolved, resolve._check_names),
)

Write = Callable[[str, str], None]


def forget() -> None:
    """Nothing that was read is remembered."""
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes ``room/name`` with some text, or bytes."""
    for room in (*registry.KINDS, "train"):
        shutil.copytree(PACKAGE / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source, "_PACKAGE", tmp_path)
    monkeypatch.setattr(registry, "_PACKAGE", tmp_path)

    def written(where: str, text: str | bytes) -> None:
        file = tmp_path / f"{where}.py"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        forget()

    forget()
    yield written
    forget()
