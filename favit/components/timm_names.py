"""Names of timm's models, read from the source of the installed timm without importing it. Free of torch."""

from __future__ import annotations

import functools
import importlib.machinery
import re
from pathlib import Path
from typing import Any

from favit.components.nearest import near_names

WRITTEN, KEPT = "timm/", "timm-"  # in config.yaml, and on disk and in print: the name is part of a path

_REGISTERED = re.compile(r"^@register_model\s*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


def kept(model: Any) -> Any:
    """A model's name as runs have it: ``timm/pvt_v2_b0`` becomes ``timm-pvt_v2_b0``, others stay."""
    if isinstance(model, str) and model.startswith(WRITTEN):
        return KEPT + model.removeprefix(WRITTEN)
    return model


def check(model: str) -> None:
    """``ValueError`` for a name that the installed timm does not have, or that asks for trained weights."""
    name, dot, _ = model.removeprefix(KEPT).partition(".")
    if not names():
        raise ValueError(f"model '{WRITTEN}{name}' needs the package timm, which is not installed")
    if name not in names():
        near = ", ".join(f"'{WRITTEN}{other}'" for other in near_names(name, names()))
        hint = f"did you mean {near}?" if near else f"it has {len(names())} models"
        raise ValueError(f"unknown model '{WRITTEN}{name}' of timm; {hint}")
    if dot:
        raise ValueError(
            f"model '{WRITTEN}{model.removeprefix(KEPT)}' names pretrained weights, but all rows here are trained from "
            f"scratch; write {WRITTEN}{name}"
        )


def meant(model: str) -> str:
    """How a model of timm is written here that was given as elsewhere: bare, in capitals, of a hub; else empty."""
    name = model.lower().rpartition(":")[2].removeprefix(WRITTEN).partition(".")[0]
    return f"{WRITTEN}{name}" if name in names() else ""


@functools.cache
def names() -> frozenset[str]:
    """All models that the files of the installed timm register; none where there is no timm."""
    spec = importlib.machinery.PathFinder.find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    files = (Path(spec.origin).parent / "models").glob("*.py")
    return frozenset(name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8")))
