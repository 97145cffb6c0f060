"""A sweep's matrix, expanded to combinations as a CI matrix expands."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from favit.components.nearest import unknown


def expand(
    matrix: Mapping[str, list[Any]],
    include: tuple[Mapping[str, Any], ...] = (),
    exclude: tuple[Mapping[str, Any], ...] = (),
) -> list[dict[str, Any]]:
    """All combinations of a matrix, the first axis slowest.

    A value that is a mapping contributes its own keys in place of the axis. A
    combination that matches an entry of ``exclude`` (a list there matches any of
    its values) is dropped. An entry of ``include`` adds its keys to every
    combination whose matrix values it does not contradict, or, where there is
    none, becomes a combination of its own. Raises ``ValueError`` for an entry of
    ``exclude`` that drops nothing: a slip in it would train what nobody wants.
    """
    original = [_merged(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())]
    for entry in exclude:
        _check_excludes(entry, original)
    original = [c for c in original if not any(_matches(c, entry) for entry in exclude)]
    extended = [dict(c) for c in original]
    alone = []
    for entry in include:
        at_home = [e for e, base in zip(extended, original, strict=True) if _agrees(base, entry)]
        for combination in at_home:
            combination.update(entry)
        if not at_home:
            alone.append(dict(entry))
    return extended + alone


def _agrees(base: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return all(base.get(key, value) == value for key, value in entry.items())


def _merged(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for axis, value in pairs:
        own = value if isinstance(value, Mapping) else {axis: value}
        if not merged.keys().isdisjoint(own):
            raise ValueError(
                f"matrix.{axis}: {', '.join(sorted(merged.keys() & own))} is given by another axis, too; give it once"
            )
        merged.update(own)
    return merged


def _check_excludes(entry: Mapping[str, Any], combinations: list[dict[str, Any]]) -> None:
    for key, wanted in entry.items():
        found = {combination[key] for combination in combinations if key in combination}
        if not found:
            valid = sorted({key for combination in combinations for key in combination})
            raise ValueError(unknown(f"key '{key}' in exclude", key, valid))
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if isinstance(value, str) and value not in found:
                raise ValueError(
                    unknown(f"{key} {value!r} in exclude", repr(value), sorted(map(repr, found)))
                )
    if not any(_matches(combination, entry) for combination in combinations):
        raise ValueError(f"exclude: no combination has {', '.join(f'{k} {v!r}' for k, v in entry.items())}")


def _matches(combination: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return all(
        key in combination and combination[key] in (value if isinstance(value, list) else [value])
        for key, value in entry.items()
    )
