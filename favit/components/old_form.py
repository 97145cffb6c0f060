"""Settings as files declared them until now: ``SETTINGS``, ``MINIMUM`` and ``REQUIRES``. Goes in the next release.

``SETTINGS = {"factor": 5, "measure": ("sampled", "exact")}`` gives defaults, of a tuple's choices the first;
``MINIMUM = {"factor": 1}`` lower bounds; ``REQUIRES = {"factor < heads": "sentence"}`` conditions on the file's
settings, the run's other settings and the file's own literals.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from favit.components import annotation, rules, signature
from favit.components.bounds import AtLeast
from favit.components.setting import Setting
from favit.components.source import Source

NAMES = ("SETTINGS", "MINIMUM", "REQUIRES")


def is_used(source: Source, room: str, literals: Mapping[str, Any]) -> bool:
    """Whether a file declares in the old form. ``ValueError`` if it does so in the new one, too."""
    used = [name for name in NAMES if name in literals]
    if not used:
        return False
    for name in _new_declarations(source, room, literals.get("SETTINGS", {})):
        raise ValueError(
            f"{source.file} declares settings twice, by {used[0]} and by {name}; remove {used[0]}"
        )
    _warn_once(str(source.file), used[0])
    return True


def _new_declarations(source: Source, room: str, old: Mapping[str, Any]) -> list[str]:
    """What of a file declares in the new form. A ``Literal`` beside the same choices is a type, as it was."""
    found = [n for n in (signature.DATACLASS, rules.NAME) if source.definition(n) is not None]
    arguments = signature.keyword_arguments(source, room) if room in signature.CLASSES else []
    return [
        *found,
        *(
            f"the annotation of {a.arg}"
            for a, _ in arguments
            if annotation.is_new(source, a.annotation, a.arg in old)
        ),
    ]


@lru_cache
def _warn_once(file: str, name: str) -> None:
    message = (
        f"{file}: {name} is deprecated and goes in the next release; declare settings in the constructor's signature "
        "(see docs/contributing.md)"
    )
    warnings.warn(message, FutureWarning, stacklevel=2)


def settings(source: Source, literals: Mapping[str, Any]) -> dict[str, Setting]:
    """The settings of ``SETTINGS`` with the bounds of ``MINIMUM``."""
    stated, minimum = (literals.get(name, {}) for name in ("SETTINGS", "MINIMUM"))
    if not isinstance(stated, dict) or not isinstance(minimum, dict):
        raise ValueError(f"{source.file}: SETTINGS and MINIMUM must be mappings")
    if surplus := minimum.keys() - stated.keys():
        raise ValueError(f"{source.file}: MINIMUM names {', '.join(sorted(surplus))}, which SETTINGS lacks")
    found = {}
    for name, value in stated.items():
        choices = value if isinstance(value, tuple) else ()
        default = choices[0] if choices else value
        if type(default) not in (bool, int, float, str):
            raise ValueError(f"{source.file}: SETTINGS['{name}'] must be text, a number, True or False")
        bounds = (AtLeast(minimum[name]),) if name in minimum else ()
        try:
            found[name] = Setting(type(default), default, bounds, choices)
        except ValueError as error:
            raise ValueError(f"{source.file}: SETTINGS['{name}']: {error}") from None
    return found


def check_together(
    literals: Mapping[str, Any], run: Mapping[str, Any], own: Mapping[str, Any], axis: str
) -> None:
    """``ValueError`` with the sentence of the first condition in ``REQUIRES`` that does not hold."""
    values = {**literals, **run, **own}
    for condition, sentence in literals.get("REQUIRES", {}).items():
        code, names = _compiled(condition)
        try:
            holds = eval(code, {"__builtins__": {}, "matches": _matches, **values})
        except Exception as error:
            raise ValueError(f"the condition {condition!r} in REQUIRES fails: {error}") from None
        if not holds:
            shown = {name: f"{axis}.{name}" for name in own}
            found = [f"{shown.get(n, n)} is {values[n]!r}" for n in names if n in values and n.islower()]
            raise ValueError(f"{sentence}: {', '.join(found)}")


@lru_cache
def _compiled(condition: str) -> tuple[CodeType, tuple[str, ...]]:
    """A condition and the names in it, in their order."""
    try:
        tree = ast.parse(condition, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"the condition {condition!r} in REQUIRES cannot be read: {error.msg}") from None
    names = sorted((n for n in ast.walk(tree) if isinstance(n, ast.Name)), key=lambda n: n.col_offset)
    return compile(tree, condition, "eval"), tuple(dict.fromkeys(n.id for n in names))


def _matches(text: str, pattern: str) -> bool:
    return re.fullmatch(pattern, text) is not None
