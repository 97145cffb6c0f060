"""The answer to a wrong name. Apart from ``registry``, so that no trained result depends on its wording."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from favit.components.setting import Setting


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """The sentence that answers a wrong name: the nearest valid one, then all of them."""
    return _answer(what, name, {v: v for v in valid})


def unknown_setting(name: str, axes: Iterable[str], settings: Mapping[str, Setting]) -> str:
    """The sentence that answers a wrong setting: the valid ones, in the order of their files, with their defaults."""
    shown = {axis: axis for axis in axes}
    shown |= {key: f"{key} ({_written(setting.default)})" for key, setting in settings.items()}
    return _answer(f"setting '{name}'", name, shown)


def _answer(what: str, name: str, shown: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, shown, n=1, cutoff=0.5)
    listed = ", ".join(shown.values())
    if near:
        return f"unknown {what}; did you mean '{near[0]}'? Valid: {listed}"
    return f"unknown {what}; valid: {listed or 'none'}"


def _written(value: Any) -> str:
    """A value as YAML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
