"""What components declare of themselves, and what may be set: names, types, bounds. Free of torch."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import Any, Literal

from favit.components.literals import families, literals, task_of

# Which room holds what a run's "aggregator" names, unless its model says otherwise.
_ROOM = "aggregators"


def room_of(model: str) -> str:
    """The room in which a model looks up the run's aggregator: ``aggregators`` or ``attention``."""
    return literals("models", families()[model]).get("AGGREGATORS", _ROOM)


def component(axis: str, run: Mapping[str, Any]) -> tuple[str, str]:
    """The file, as (room, name), that a run's value on an axis points to."""
    name = run[axis]
    if axis == "aggregator":
        return room_of(run["model"]), name
    if axis == "model":
        return "models", families()[name]
    return {"dataset": "data", "encoding": "encodings"}[axis], name


def feed_of(dataset: str) -> str:
    """The module in ``favit/train/feeds`` that brings a data set's images to the device."""
    return literals("data", dataset).get("FEED", "memory")


def _dataclasses(task: str) -> list[Any]:
    from favit.train import settings  # interim

    return [
        settings.Optimisation,
        {"classification": settings.Images, "forecasting": settings.Forecasting}[task],
    ]


def training_settings(task: str) -> dict[str, Any]:
    """Defaults of everything that training depends on, common settings and the task's own."""
    found: dict[str, Any] = {}
    for kind in _dataclasses(task):
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            choices = (
                typing.get_args(hints[field.name]) if typing.get_origin(hints[field.name]) is Literal else ()
            )
            first = (field.default, *(c for c in choices if c != field.default))
            found[field.name] = first if choices else field.default
    return found


def minimums(task: str) -> dict[str, float]:
    """Lower bounds of training settings."""
    return {
        field.name: bound.limit
        for kind in _dataclasses(task)
        for field in dataclasses.fields(kind)
        for bound in getattr(typing.get_type_hints(kind, include_extras=True)[field.name], "__metadata__", ())
        if type(bound).__name__ == "AtLeast"
    }


def check_together(run: Mapping[str, Any]) -> None:
    """``ValueError`` where values that are each allowed do not go together.

    Each file says so beside its settings: ``REQUIRES`` maps a condition on them, on the run's other settings and
    on the file's own literals to the sentence that answers whoever breaks it.
    """
    from favit.train import settings  # interim

    task = task_of(run["dataset"])
    for kind in _dataclasses(task):
        chosen = kind(**{f.name: run[f.name] for f in dataclasses.fields(kind)})
        name = {"Optimisation": "optimisation", "Images": "images", "Forecasting": "forecasting"}[
            kind.__name__
        ]
        getattr(settings, f"check_{name}")(chosen)
        for field in dataclasses.fields(kind):
            for b in getattr(
                typing.get_type_hints(kind, include_extras=True)[field.name], "__metadata__", ()
            ):
                value = run[field.name]
                if type(b).__name__ == "Below" and value >= b.limit:
                    raise ValueError(f"{field.name} must be below {b.limit}, not {value!r}")
                if type(b).__name__ == "AtMost" and value > b.limit:
                    raise ValueError(f"{field.name} must be at most {b.limit}, not {value!r}")
    for axis, path in _declaring(run):
        facts = literals(*path)
        if "REQUIRES" in facts:
            declared = facts.get("SETTINGS", {}) if axis else {}
            shown = {name: f"{axis}.{name}" for name in declared}
            own = {name: run.get(shown[name], default_of(declared[name])) for name in declared}
            _check_conditions(facts["REQUIRES"], {**facts, **run, **own}, shown)


def _check_conditions(
    required: Mapping[str, str], values: Mapping[str, Any], shown: Mapping[str, str]
) -> None:
    for condition, sentence in required.items():
        code, names = _compiled(condition)
        if not eval(code, {"__builtins__": {}, "matches": _matches, **values}):
            found = [f"{shown.get(n, n)} is {values[n]!r}" for n in names if n in values and n.islower()]
            raise ValueError(f"{sentence}: {', '.join(found)}")


def _declaring(run: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """The files whose settings a run has, each after the prefix of its settings' names."""
    return [
        *((axis, component(axis, run)) for axis in ("dataset", "model", "aggregator", "encoding")),
    ]


@lru_cache
def _compiled(condition: str) -> tuple[CodeType, tuple[str, ...]]:
    """A condition and the names in it, in their order."""
    tree = ast.parse(condition, mode="eval")
    names = sorted((n for n in ast.walk(tree) if isinstance(n, ast.Name)), key=lambda n: n.col_offset)
    return compile(tree, condition, "eval"), tuple(dict.fromkeys(n.id for n in names))


def _matches(text: str, pattern: str) -> bool:
    return re.fullmatch(pattern, text) is not None


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
        value = float(value) if abs(value) < 1e300 else math.inf
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
