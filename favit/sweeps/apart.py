"""Names that distinguish a sweep's runs. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from favit.sweeps.resolve import Run, component_settings


def told_apart(runs: Iterable[Run]) -> dict[str, Run]:
    """By key, each run with the settings that distinguish it from runs of the same name: a rate, a horizon."""
    namesakes: dict[tuple[Any, ...], dict[str, Run]] = {}
    for run in runs:
        namesakes.setdefault((run["dataset"], run.mechanism, run["seed"]), {})[run.key] = run
    named = {}
    for group in namesakes.values():
        differing = _differing([run.settings for run in group.values()])
        for key, run in group.items():
            apart = tuple((name, _written(run, name)) for name in differing if _has(run, name))
            named[key] = Run(run.settings, run.chosen, apart) if apart else run
    return named


def _differing(settings: list[Mapping[str, Any]]) -> list[str]:
    """Names of the settings that are not equal in all; a component's setting that is its default is not among them."""
    first, *others = settings
    return sorted({k for each in others for k in {*first, *each} if first.get(k) != each.get(k)})


def _has(run: Run, name: str) -> bool:
    return name in run.settings or name in component_settings(run.settings)


def _written(run: Run, name: str) -> str:
    value = run.settings[name] if name in run.settings else component_settings(run.settings)[name].default
    return str(value).lower() if isinstance(value, bool) else str(value)
