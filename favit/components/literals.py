"""The literals of a module of ``favit``, read without importing it.

Components state facts about themselves at the top level of their files; reading
them from the syntax tree keeps the configuration free of torch, and makes no
result depend on code that it does not run.
"""

from __future__ import annotations

import ast
import functools
from typing import Any

from favit.components import registry
from favit.components.source import Source, assignment, source

# Names by which a component's file tells something: stated, they must be readable.
TELLING = frozenset(
    {
        "SETTINGS",
        "MINIMUM",
        "REQUIRES",
        "TASK",
        "VARIANTS",
        "AGGREGATORS",
        "PREFIX",
        "TRAINED",
        "VERSIONS",
        "FACTS",
        "FEED",
        "FILES",
        "FILE_SETTING",
    }
    | {
        "PACKAGE_FILES",
        "SOURCES",
        "COUNTS",
        "BYTES",
        "IMAGES",
        "SERIES",
        "TIME",
        "ADDS_POSITION",
        "POSITION_INSIDE",
    }
)


@functools.cache
def literals(*path: str) -> dict[str, Any]:
    """All top-level ``NAME = <literal>`` of ``favit/<path>.py``, for instance ``literals("data", "etth1")``.

    Raises ``ValueError`` if one of the names that tell something about a component has another value.
    """
    found: dict[str, Any] = {}
    read = source(*path)
    for node in read.tree.body:
        name, value = assignment(node)
        if name and value is not None:
            try:
                found[name] = ast.literal_eval(value)
            except (ValueError, TypeError, MemoryError, RecursionError):
                found.pop(name, None)  # not a literal: not a statement of this kind
                if name in TELLING:
                    raise read.error(
                        node, f"{name} cannot be read: write its value out as a literal"
                    ) from None
    _check_assigned_plainly(read, found)
    return found


def _check_assigned_plainly(read: Source, found: dict[str, Any]) -> None:
    """No telling name is set in a way that is not read: under a condition, with ``|=``, in a tuple, item by item."""
    for node in read.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        plain = assignment(node)[0]
        for name in _stored(node) & TELLING:
            if name != plain or name not in found:
                raise read.error(
                    node, f"{name} cannot be read: state it once, as NAME = literal, at the top level"
                )


_CHANGING = ("append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update")


def _stored(statement: ast.stmt) -> set[str]:
    """Names that a statement binds or changes in place."""
    stored: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            stored.add(node.id)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            stored |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in _CHANGING:
            stored.add(node.value.id)
    return stored


TASKS = ("classification", "forecasting")


@functools.cache
def families() -> dict[str, str]:
    """Model name -> the file in ``favit/models`` that builds it (``favit_b0`` -> ``favit``)."""
    found: dict[str, str] = {}
    for family in registry.names("models"):
        variants = literals("models", family).get("VARIANTS", ())
        if not isinstance(variants, tuple | list) or not all(isinstance(v, str) for v in variants):
            raise ValueError(f"favit/models/{family}.py: VARIANTS must list names, not {variants!r}")
        found.update(dict.fromkeys(variants, family))
    return found


def family_of(model: str) -> str:
    """The file in ``favit/models`` that builds a model; ``ValueError`` naming the models for an unknown one.

    Besides the models that files list there are those whose names begin with a file's ``PREFIX``.
    """
    known = families()
    if model in known:
        return known[model]
    for family in registry.names("models"):
        prefix = literals("models", family).get("PREFIX")
        if prefix and model.startswith(prefix):
            return family
    raise ValueError(f"unknown model '{model}'; valid: {', '.join(sorted(known))}")


def trained(model: str) -> bool:
    """Whether a model learns anything; one that does not is scored once, whatever the seeds."""
    return literals("models", family_of(model)).get("TRAINED", True) is not False


def task_of(dataset: str) -> str:
    """The task that a data set is for; ``ValueError`` if its file does not say."""
    return checked_task("data", dataset)


def checked_task(room: str, name: str) -> str:
    """``TASK`` of a data set's or a model's file; ``ValueError`` for anything but a task."""
    task = literals(room, name).get("TASK")
    if task not in TASKS:
        raise ValueError(
            f"favit/{room}/{name}.py: TASK must be one of {', '.join(map(repr, TASKS))}, not {task!r}"
        )
    return str(task)
