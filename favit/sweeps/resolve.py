"""Resolve a run of the configuration to its settings: flat, plain, sorted, checked. Free of torch."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from favit.components import declared, registry, timm_names
from favit.components.flags import flag
from favit.components.literals import families, task_of, trained
from favit.components.nearest import meant, unknown, unknown_setting
from favit.components.setting import Setting

AXES = (*declared.NAMING, "seed")


@dataclass(frozen=True)
class Run:
    """One training run: what its result depends on, and nothing else.

    ``settings`` is flat: the axes, every training setting, and the settings of
    the components that it names (``aggregator.factor``) where they differ from
    their defaults. ``chosen`` are the keys that the configuration gave itself,
    ``apart`` what tells the run from others of its sweep, besides what each name shows.
    """

    settings: Mapping[str, Any]
    chosen: frozenset[str] = frozenset()
    apart: tuple[tuple[str, Any], ...] = ()

    @cached_property
    def key(self) -> str:
        """Canonical JSON: equal for equal runs, whichever sweep asks for them."""
        return json.dumps(self.settings, sort_keys=True, separators=(",", ":"))

    def __getitem__(self, name: str) -> Any:
        return self.settings[name]

    @property
    def name(self) -> str:
        """The run's name: ``favit_b0.probsparse.none.seed0``, or ``favit_b0.probsparse.none.lr=0.01.seed0``."""
        parts = [self.mechanism, *(f"{key}={value}" for key, value in self.apart), f"seed{self['seed']}"]
        return ".".join(parts)

    @property
    def mechanism(self) -> str:
        """The beginning of each name: ``favit_b0.probsparse.none``."""
        return f"{self['model']}.{self['aggregator']}.{self['encoding']}"

    @property
    def task(self) -> str:
        """``classification`` or ``forecasting``."""
        return task_of(self.settings["dataset"])


def resolve(given: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Run:
    """Resolve a combination with its sweep's settings; ``ValueError`` names what is allowed."""
    merged = {**(settings or {}), **given}
    if "seed" not in merged:
        raise ValueError("seed is missing; give it in the matrix or in settings")
    seed = declared.training("classification")["seed"].check("seed", merged.pop("seed"))
    own = frozenset(key for key in given if key != "seed")
    if "model" in merged:
        merged["model"] = timm_names.kept(merged["model"])
    # Runs that differ by their seed alone are resolved once: sweeps have thousands of them.
    try:
        flat, chosen = _resolved(tuple(merged.items()), own, _types(merged))
    except TypeError:
        _check_plain(merged)
        raise
    # What learns nothing depends on no seed: it is one run, whichever seeds its sweep has.
    return Run({**flat, "seed": seed if trained(flat["model"]) else 0}, chosen)


def _check_plain(merged: Mapping[str, Any]) -> None:
    for key, value in merged.items():
        if not isinstance(value, str | int | float):
            raise ValueError(f"{key} must be text, a number, true or false, not {value!r}")


def _types(merged: Mapping[str, Any]) -> tuple[type, ...]:
    """Keeps ``1``, ``1.0`` and ``True`` apart, which are equal as keys of a cache."""
    return tuple(map(type, merged.values()))


@lru_cache(maxsize=4096)
def _resolved(
    items: tuple[tuple[str, Any], ...], given: frozenset[str], types: tuple[type, ...]
) -> tuple[dict[str, Any], frozenset[str]]:
    merged = dict(items)
    axes = {axis: merged.pop(axis) for axis in AXES if axis in merged}
    check_axes(axes, merged)
    training, components = declared.training(task_of(axes["dataset"])), component_settings(axes)
    flat = {**{name: setting.default for name, setting in training.items()}, **axes}
    for key, value in merged.items():
        if key in training:
            flat[key] = training[key].check(key, value)
        elif key in components:
            value = components[key].check(key, value)
            if value != components[key].default:
                flat[key] = value
        elif "." not in key or key in given:
            raise ValueError(unknown_setting(key, AXES, {**training, **components}))
    declared.check_together(flat)
    return dict(sorted({**flat, "seed": 0}.items())), frozenset({*axes, *merged, "seed"})


def forget() -> None:
    """Forget resolved settings: other components may have the same names now."""
    _resolved.cache_clear()
    _check_names.cache_clear()


def component_settings(axes: Mapping[str, Any]) -> dict[str, Setting]:
    """``aggregator.factor`` -> its declaration, for the components that a run names, in the order of their files."""
    return {
        f"{axis}.{name}": setting
        for axis in declared.naming(axes)
        for name, setting in declared.settings(*declared.component(axis, axes)).items()
    }


def check_axes(axes: Mapping[str, Any], given: Iterable[str]) -> None:
    """``ValueError`` unless data set, model, aggregator and encoding are all named, known and fit each other."""
    for axis in declared.NAMING:
        if axes.get(axis) is None:
            others = set(given) - set(AXES)
            near = sorted(other for other in others if meant(other, [axis]))
            near += difflib.get_close_matches(axis, others, n=1, cutoff=0.7)
            hint = f"; did you mean {axis} by '{near[0]}'?" if near else ""
            raise ValueError(f"{axis} is missing; give it in the matrix or in settings{hint}")
    _check_names(*(axes[axis] for axis in declared.NAMING))


@lru_cache
def _check_names(dataset: Any, model: Any, aggregator: Any, encoding: Any) -> None:
    _known("data set", dataset, registry.names("data"))
    if isinstance(model, str) and model.startswith(timm_names.KEPT):
        timm_names.check(model)
    else:
        if model not in families() and (of_timm := timm_names.meant(str(model))):
            raise ValueError(f"unknown model '{model}'; did you mean '{of_timm}'?")
        _known("model", model, [*sorted(families()), f"{timm_names.WRITTEN}NAME"])
    task = task_of(dataset)
    if declared.task_of_model(model) != task:
        fitting = sorted(m for m in families() if declared.task_of_model(m) == task)
        if task == "classification":
            fitting.append(f"{timm_names.WRITTEN}NAME")
        raise ValueError(
            f"model '{model}' cannot be trained on '{dataset}' ({task}); valid: {', '.join(fitting)}"
        )
    if not declared.aggregates(model):
        _check_without(model, aggregator, encoding)
    else:
        _known(f"aggregator for {model}", aggregator, registry.names(declared.room_of(model)))
    if encoding not in registry.names("encodings") or not _encodes(encoding, task):
        raise ValueError(
            unknown(
                f"encoding '{encoding}'",
                str(encoding),
                [e for e in registry.names("encodings") if _encodes(e, task)],
            )
        )
    axes = {"dataset": dataset, "model": model, "aggregator": aggregator, "encoding": encoding}
    for axis in declared.NAMING:
        declared.check_facts(axis, axes)


def _check_without(model: str, aggregator: Any, encoding: Any) -> None:
    for axis, value in (("aggregator", aggregator), ("encoding", encoding)):
        if value != "none":
            raise ValueError(f"model '{model}' takes no {axis}; write {axis}: none, not {value!r}")


def _encodes(encoding: str, task: str) -> bool:
    return flag("encodings", encoding, {"classification": "IMAGES", "forecasting": "SERIES"}[task])


def _known(what: str, name: Any, valid: list[str]) -> None:
    if name not in valid:
        raise ValueError(unknown(f"{what} '{name}'", str(name), valid))
