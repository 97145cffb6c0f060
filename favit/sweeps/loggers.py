"""``loggers`` in ``config.yaml``: receivers of the rows of ``history.csv``. No result depends on them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from favit.components.nearest import near_names
from favit.sweeps.errors import ConfigError

NAMES = ("tensorboard", "wandb")
_FORMS = "tensorboard, wandb, file.py, file.py:function, module:function"


@dataclass(frozen=True)
class Logger:
    """One logger: a name of ours, ``file.py:function`` or ``module:function``, and what it is called with."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """The installed package that it needs; empty for one's own."""
        if self.name == "wandb":
            return str(self.options.get("package", "wandb"))
        return self.name if self.name in NAMES else ""

    def as_json(self) -> dict[str, Any]:
        """Return the logger as ``run.json`` has it."""
        return {"name": self.name, "options": dict(self.options)}


def loggers_of(written: Sequence[Any], source: str) -> tuple[Logger, ...]:
    """The loggers as written: names, or each a mapping of a name to its options. Raises ``ConfigError``."""
    found: list[Logger] = []
    for entry in written:
        logger = _logger(entry, source)
        if any((logger.name, logger.package) == (other.name, other.package) for other in found):
            raise ConfigError(f"{source}: loggers: {logger.name} is listed twice")
        found.append(logger)
    return tuple(found)


def is_installed(package: str) -> bool:
    """True if it can be imported here. A folder of its name alone, such as W&B leaves, is no package."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def _logger(entry: Any, source: str) -> Logger:
    if isinstance(entry, str):
        return Logger(_name(entry, source))
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ConfigError(
            f"{source}: loggers: each is a name, or one name with options (wandb: {{project: study}}), not {entry!r}"
        )
    [(name, options)] = entry.items()
    if not isinstance(options, Mapping) and options is not None:
        raise ConfigError(f"{source}: loggers.{name} must be a mapping of options, not {options!r}")
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError):
        raise ConfigError(
            f"{source}: loggers.{name} may hold text, numbers, true, false, lists and mappings of such, "
            f"not {dict(options or {})!r}"
        ) from None
    return Logger(_name(str(name), source), dict(options or {}))


def _name(name: str, source: str) -> str:
    """The name; a file is where people type or, if not there, beside the configuration."""
    if name in NAMES:
        return name
    place, colon, function = name.partition(":")
    wrong = colon and not function.isidentifier()
    if place.endswith(".py") and not wrong:
        for file in (Path(place), Path(source).parent / place):
            if file.is_file():
                return f"{file}{colon}{function}"
        raise ConfigError(f"{source}: loggers: {place} not found")
    if colon and not wrong and all(part.isidentifier() for part in place.split(".")):
        return name
    near = near_names(name, NAMES, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(f"{source}: loggers: unknown logger '{name}'; {hint}Valid: {_FORMS}")
