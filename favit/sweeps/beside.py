"""Models added to every block of a sweep's table beside those of its matrix. Free of torch.

``beside: [repeat_last, dlinear]`` gives each block a row of each of them, trained with what its runs are trained with:
the same data set, seeds and settings, but for those that belong to a mechanism. ``{model: dlinear, lr: 0.005}`` gives
it settings of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from favit.components import declared, timm_names
from favit.components.literals import family_of
from favit.components.nearest import unknown
from favit.sweeps.config import SweepConfig

# Keys of a combination that make its mechanism: an axis or an entry of `include` that has one of them is a row's own.
_WORDS = ("model", "label", "reference")
_MECHANISM = ("model", "aggregator", "encoding", "label", "reference")


def entries(sweep: SweepConfig, model: str) -> list[Mapping[str, Any]]:
    """What stands beside one of the sweep's own models: ``model``, and settings in which it differs from them."""
    of_model = sweep.beside.get(model, ()) if isinstance(sweep.beside, Mapping) else sweep.beside
    return [{"model": entry} if isinstance(entry, str) else entry for entry in of_model]


def combinations(sweep: SweepConfig, of: Mapping[str, Any], model: str) -> Iterator[dict[str, Any]]:
    """What ``of``, one of the sweep's combinations, becomes for each model beside its own, ``model``."""
    kept = _shared(sweep)
    for entry in entries(sweep, model):
        shared = {key: value for key, value in of.items() if key in kept}
        yield {**shared, "aggregator": "none", "encoding": "none", **entry}


def said(sweep: SweepConfig) -> str:
    """What the models beside are trained with instead, in words: ``linear, nlinear: lr 0.005``."""
    by_settings: dict[str, list[str]] = {}
    lists = sweep.beside.values() if isinstance(sweep.beside, Mapping) else [sweep.beside]
    for entry in (entry for listed in lists for entry in listed if isinstance(entry, Mapping)):
        settings = ", ".join(f"{key} {value}" for key, value in entry.items() if key not in _WORDS)
        if settings:
            by_settings.setdefault(settings, []).append(str(entry["model"]))
    return "; ".join(f"{', '.join(dict.fromkeys(names))}: {what}" for what, names in by_settings.items())


def check(sweep: SweepConfig, own: set[str]) -> None:
    """``ValueError`` for a model beside none of the sweep's ``own``, and for one that has an aggregator to choose."""
    if isinstance(sweep.beside, Mapping):
        for name in sweep.beside:
            if name not in own:
                raise ValueError(unknown(f"model '{name}' in beside", name, sorted(own)))
    for model in sorted(own):
        for entry in entries(sweep, model):
            if "model" not in entry:
                raise ValueError(f"beside: entry without a model: {dict(entry)}")
            if wrong := [key for key in entry if key in ("dataset", "seed", "aggregator", "encoding")]:
                raise ValueError(f"beside: remove {wrong[0]} from the entry; it is that of the matrix")
            name = entry["model"]
            if not name.startswith(timm_names.WRITTEN) and _aggregates(name):
                raise ValueError(f"beside: model '{name}' needs an aggregator; put it into the matrix")


def _aggregates(name: str) -> bool:
    try:
        family_of(name)
    except ValueError:
        return False  # an unknown name, which is answered where it is resolved
    return declared.aggregates(name)


def _shared(sweep: SweepConfig) -> set[str]:
    """Keys of combinations that belong to no mechanism."""
    kept: set[str] = set()
    for axis, values in sweep.matrix.items():
        rows = [value for value in values if isinstance(value, Mapping)]
        keys = {key for row in rows for key in row} | ({axis} if len(rows) < len(values) else set())
        kept |= _without_mechanism(keys)
    for entry in sweep.include:
        kept |= _without_mechanism(set(entry))
    return kept


def _without_mechanism(keys: set[str]) -> set[str]:
    own = any(key in _MECHANISM or _is_of_component(key) for key in keys)
    return {key for key in keys if key in ("dataset", "seed")} if own else keys


def _is_of_component(key: str) -> bool:
    return "." in key and not key.startswith("dataset.")
