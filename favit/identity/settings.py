"""Settings as results are compared by them: one at its neutral value counts as not given. Free of torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from favit.components import declared
from favit.components.literals import TASKS, task_of
from favit.identity.digests import short_digest


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits; the same whether a neutral setting is given or did not exist yet."""
    return short_digest(without_neutral(settings))


def without_neutral(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not at their neutral value."""
    values = neutral(settings.get("dataset"))
    return {k: v for k, v in settings.items() if k not in values or not _same(v, values[k])}


def neutral(dataset: Any) -> Mapping[str, Any]:
    """The neutral values of training on a data set, by setting; none for one whose file is gone."""
    try:
        return of_task(task_of(dataset))
    except (ValueError, TypeError, OSError):
        return {}


@functools.cache
def of_task(task: str) -> Mapping[str, Any]:
    """The neutral values that the settings of a task declare."""
    return {name: s.neutral for name, s in declared.training(task).items() if s.neutral is not None}


def declarations() -> str:
    """A digest of all neutral values that are declared: what was compared under others is compared again."""
    return short_digest({task: dict(of_task(task)) for task in TASKS})


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
