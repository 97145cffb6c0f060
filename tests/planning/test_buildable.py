"""timm's models are built once with what their runs give them; what fails is told in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from favit.disk.cache import Cache
from favit.planning import buildable
from favit.sweeps.config import ConfigError
from favit.sweeps.resolve import Run, resolve


def run(model: str, **settings: Any) -> Run:
    axes = {"dataset": "digits", "aggregator": "none", "encoding": "none", "seed": 0}
    return resolve({**axes, "model": model, "image_size": 64, "drop_path": 0.1, **settings})


def asked(model: str, size: int = 64) -> dict[str, Any]:
    return {"name": model, "classes": 10, "channels": 3, "image_size": size, "drop_path": 0.1}


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("resnet18", ["img_size"]),
        ("vit_tiny_patch16_224", []),
        ("vgg11", ["img_size", "drop_path_rate"]),
    ],
)
def test_settings_are_passed_where_they_are_taken(model: str, refused: list[str]) -> None:
    assert buildable.answer(asked(model)) == {"error": None, "refused": refused}


def test_what_cannot_take_images_of_a_size_says_so_in_a_line() -> None:
    error = buildable.answer(asked("vit_tiny_patch16_224", 8))["error"]
    assert error and "\n" not in error


def test_each_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def answered(command: list[str], *, input: str, **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(input)
        out = '[{"error": null, "refused": ["drop_path_rate"]}]'
        return subprocess.CompletedProcess(command, 0, out, "")

    monkeypatch.setattr(subprocess, "run", answered)
    runs = [run("timm/vgg11"), run("timm/vgg11", seed=1), run("timm/vgg11", lr=0.5)]
    for _ in range(2):
        said = buildable.check(runs, Cache(tmp_path / "buildable.json"))
        assert said == ["timm/vgg11 does not support drop_path; 0.1 is ignored"]
    assert len(calls) == 1
    pool = resolve(
        {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}
    )
    assert buildable.check([pool], Cache(tmp_path / "buildable.json")) == []
    assert len(calls) == 1


def test_what_cannot_be_built_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = '[{"error": "it is too small", "refused": []}]'
    done = subprocess.CompletedProcess([], 0, out, "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ConfigError, match="timm/vgg11 cannot be trained on images of 64 pixels: it is too"):
        buildable.check([run("timm/vgg11")], Cache(tmp_path / "buildable.json"))
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nModuleNotFoundError: No module named 'timm'")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ConfigError, match="cannot check timm's models here: ModuleNotFoundError"):
        buildable.check([run("timm/vgg16")], Cache(tmp_path / "buildable.json"))
