"""What a component's file declares about itself, read without importing it.

A component states its settings and facts as literals at the top level of its
module; reading them from the syntax tree keeps the configuration free of torch
and makes no result depend on code that it does not run.
"""

from __future__ import annotations

import ast
import functools
import math
from pathlib import Path
from typing import Any

from favit import registry

_PACKAGE = Path(__file__).parent

# Which room holds what a run's "aggregator" names, unless its model says otherwise.
_ROOM = "aggregators"


@functools.cache
def literals(*path: str) -> dict[str, Any]:
    """All top-level ``NAME = <literal>`` of ``favit/<path>.py``, for instance ``literals("train", "settings")``."""
    tree = ast.parse(_PACKAGE.joinpath(*path).with_suffix(".py").read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for node in tree.body:
        target = _single_name(node)
        if target is None:
            continue
        try:
            found[target] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
        except ValueError:
            continue  # not a literal: not a declaration
    return found


def _single_name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        return node.target.id
    return None


@functools.cache
def families() -> dict[str, str]:
    """Model name -> the file in ``favit/models`` that builds it (``favit_b0`` -> ``favit``)."""
    return {
        variant: family
        for family in registry.names("models")
        for variant in literals("models", family).get("VARIANTS", ())
    }


def room_of(model: str) -> str:
    """The room in which a model looks up the run's aggregator: ``aggregators`` or ``attention``."""
    return literals("models", families()[model]).get("AGGREGATORS", _ROOM)


def task_of(dataset: str) -> str:
    """``classification`` or ``forecasting``."""
    return literals("data", dataset)["TASK"]


def component(axis: str, run: dict[str, Any]) -> tuple[str, str]:
    """The file, as (room, name), that a run's value on an axis points to."""
    name = run[axis]
    if axis == "aggregator":
        return room_of(run["model"]), name
    if axis == "model":
        return "models", families()[name]
    return {"dataset": "data", "encoding": "encodings"}[axis], name


def training_settings(task: str) -> dict[str, Any]:
    """Defaults of everything that training depends on, common settings and the task's own."""
    return {
        **literals("train", "settings").get("SETTINGS", {}),
        **literals("train", task).get("SETTINGS", {}),
    }


def minimums(task: str) -> dict[str, float]:
    """Lower bounds of training settings."""
    return {
        **literals("train", "settings").get("MINIMUM", {}),
        **literals("train", task).get("MINIMUM", {}),
    }


def default_of(declared: Any) -> Any:
    """A declared tuple lists the allowed values, the default first; anything else is the default itself."""
    return declared[0] if isinstance(declared, tuple) else declared


def check(name: str, value: Any, declared: Any, minimum: float | None = None) -> Any:
    """Return ``value`` in the declared type; ``ValueError`` says what is allowed."""
    if isinstance(declared, tuple):
        if value not in declared:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, declared))}, not {value!r}")
        return value
    kind = type(declared)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is float and isinstance(value, str):
        value = _float_or_str(value)  # YAML reads 1e-3 as text
    if kind in (bool, int, float, str) and type(value) is not kind:
        raise ValueError(f"{name} must be {_TYPES[kind]}, not {value!r}")
    if kind is float and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value!r}")
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {value!r}")
    return value


_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _float_or_str(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
