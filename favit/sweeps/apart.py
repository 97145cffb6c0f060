"""Names that tell a sweep's runs apart. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from favit.sweeps.resolve import Run, component_settings


def told_apart(runs: Iterable[Run]) -> dict[str, Run]:
    """By key, the runs with what tells each from those that would share its name: a rate, a horizon, a factor."""
    namesakes: dict[tuple[Any, ...], dict[str, Run]] = {}
    for run in runs:
        namesakes.setdefault((run["dataset"], run.mechanism, run["seed"]), {})[run.key] = run
    named = {}
    for group in namesakes.values():
        values = {key: _with_defaults(run) for key, run in group.items()} if len(group) > 1 else {}
        differing = _differing(list(values.values()))
        for key, run in group.items():
            apart = tuple((name, _plain(values[key][name])) for name in differing if name in values[key])
            named[key] = replace(run, apart=apart) if apart else run
    return named


def _with_defaults(run: Run) -> Mapping[str, Any]:
    """A run's settings, with those of its components that are left at their defaults."""
    defaults = {key: setting.default for key, setting in component_settings(run.settings).items()}
    return {**defaults, **run.settings}


def _differing(settings: list[Mapping[str, Any]]) -> list[str]:
    names = sorted({name for each in settings for name in each})
    return [name for name in names if len({repr(each.get(name)) for each in settings}) > 1]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
