"""Check recipes that no sweep uses: their settings exist, and their values are allowed. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from favit.components import declared, registry
from favit.components.nearest import unknown_setting
from favit.components.setting import Setting
from favit.sweeps.errors import ConfigError
from favit.sweeps.resolve import AXES

_ROOMS = {
    "dataset": ("data",),
    "model": ("models",),
    "aggregator": ("aggregators", "attention"),
    "encoding": ("encodings",),
}


def check_recipe(name: str, recipe: Mapping[str, Any]) -> None:
    """Raises ``ConfigError`` for a setting that no task and no component has, or a value that none of these takes.

    A recipe that a sweep uses is checked with the sweep, against what the sweep's runs name.
    """
    declarations: dict[str, list[Setting]] = {}
    for key, setting in _every_setting():
        declarations.setdefault(key, []).append(setting)
    for key, value in recipe.items():
        if key in AXES:
            continue
        if key not in declarations:
            first = {known: settings[0] for known, settings in declarations.items() if "." not in known}
            near = {known: settings[0] for known, settings in declarations.items() if "." in key}
            raise ConfigError(f"recipes.{name}: {unknown_setting(key, AXES, {**first, **near})}")
        errors = [error for setting in declarations[key] if (error := _refusal(setting, key, value))]
        if len(errors) == len(declarations[key]):
            raise ConfigError(f"recipes.{name}: {errors[0]}")


def _refusal(setting: Setting, key: str, value: Any) -> str:
    try:
        setting.check(key, value)
    except ValueError as error:
        return str(error)
    return ""


def _every_setting() -> Iterator[tuple[str, Setting]]:
    for task in ("classification", "forecasting"):
        yield from declared.training(task).items()
    for axis, rooms in _ROOMS.items():
        for room in rooms:
            for component in registry.names(room):
                for key, setting in declared.settings(room, component).items():
                    yield f"{axis}.{key}", setting
