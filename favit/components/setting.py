"""One setting: its type, default, bounds, choices and meaning, and whether a value fits it. Free of torch."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from favit.components.bounds import Bound
from favit.components.checks import check_value

Value = bool | int | float | str

WORDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Setting:
    """One setting as a component or training declares it.

    ``neutral`` is the value that does what was done before the setting existed; None if none is declared.
    """

    kind: type
    default: Value
    bounds: tuple[Bound, ...] = ()
    choices: tuple[Value, ...] = ()
    doc: str = ""
    neutral: Value | None = None

    def __post_init__(self) -> None:
        """``ValueError`` for a default or a neutral value that the declaration itself refuses."""
        try:
            fitting = self.check("the default", self.default)
            if self.neutral is not None:
                object.__setattr__(self, "neutral", self.check("the neutral value", self.neutral))
        except ValueError as error:
            raise ValueError(str(error)) from None
        object.__setattr__(self, "default", fitting)

    def check(self, name: str, value: Any) -> Value:
        """Return ``value`` in the declared type; ``ValueError`` says what is allowed."""
        value = _number(value) if self.kind is float else value
        if not self.choices and type(value) is not self.kind:
            raise ValueError(f"{name} must be {WORDS[self.kind]}, not {value!r}")
        if type(value) is float and not math.isfinite(value):
            raise ValueError(f"{name} must be finite, not {value!r}")
        try:
            check_value(name, value, self.bounds, self.choices)
        except ValueError as error:
            near = difflib.get_close_matches(str(value), map(str, self.choices), n=1)
            raise ValueError(f"{error}; did you mean '{near[0]}'?" if near else str(error)) from None
        return value


def defaults(settings: Mapping[str, Setting]) -> dict[str, Value]:
    """The default of each setting."""
    return {name: setting.default for name, setting in settings.items()}


def _number(value: Any) -> Any:
    """A number for what YAML reads as an integer (``1``) or as text (``1e-3``); anything else unchanged."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.inf
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
