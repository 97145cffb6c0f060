"""The settings that a run's components and its training declare, and their rules. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from favit.components import old_form, registry, signature
from favit.components.facts import feed_of, stated
from favit.components.flags import check_flags, flag
from favit.components.literals import checked_task, family_of, literals, task_of
from favit.components.rules import Rule, rule
from favit.components.setting import Setting, Value, defaults
from favit.components.source import exists, source

NAMING = ("dataset", "model", "aggregator", "encoding")

_TRAINING = ("train", "settings")
_OF_TASK = {"classification": ("Images", "Validation"), "forecasting": ("Forecasting",)}


def room_of(model: str) -> str:
    """The room in which a model looks up the run's aggregator: ``aggregators``, ``attention``, or ``none`` of them."""
    family = family_of(model)
    room = literals("models", family).get("AGGREGATORS", "aggregators")
    if room not in ("aggregators", "attention", "none"):
        raise ValueError(
            f"{source('models', family).file}: AGGREGATORS must be 'aggregators', 'attention' or 'none', not {room!r}"
        )
    return str(room)


def aggregates(model: str) -> bool:
    """Whether a model has an aggregator, and a place for an encoding, to choose."""
    return room_of(model) != "none"


def naming(run: Mapping[str, Any]) -> tuple[str, ...]:
    """The axes of a run whose values are components: without the aggregator of a model that has none."""
    return tuple(axis for axis in NAMING if axis != "aggregator" or aggregates(run["model"]))


def exact_versions(run: Mapping[str, Any]) -> Mapping[str, str]:
    """By package, how much of its version counts for this run at least: models from a package require it."""
    return dict(literals("models", family_of(run["model"])).get("VERSIONS", {}))


def task_of_model(model: str) -> str:
    """The task that a model is for; ``ValueError`` if its file does not say."""
    return checked_task("models", family_of(model))


def component(axis: str, run: Mapping[str, Any]) -> tuple[str, str]:
    """The file, as (room, name), that a run's value on an axis points to."""
    name = run[axis]
    if axis == "aggregator":
        return room_of(run["model"]), name
    if axis == "model":
        return "models", family_of(name)
    return {"dataset": "data", "encoding": "encodings"}[axis], name


@cache
def settings(room: str, name: str) -> Mapping[str, Setting]:
    """The settings of one component's file, in its order. ``ValueError`` for one that cannot be read."""
    read, stated = source(room, name), literals(room, name)
    if old_form.is_used(read, room, stated):
        return old_form.settings(read, stated)
    own = signature.from_dataclass(read)
    keywords = signature.from_constructor(read, room) if room in signature.CLASSES else {}
    if own and keywords:
        raise ValueError(f"{read.file} declares settings twice, in Settings and in a signature; remove one")
    found = own or keywords
    for setting_name, setting in found.items():
        if setting.neutral is not None:
            raise ValueError(
                f"{read.file}: {setting_name} declares Neutral, which is for settings of training; give a component's "
                "setting a default that does what was done before"
            )
    return found


@cache
def training(task: str) -> Mapping[str, Setting]:
    """All settings of training for a task: the common ones, then the task's own."""
    read = source(*_TRAINING)
    return {n: s for kind in _kinds(task) for n, s in signature.from_dataclass(read, kind).items()}


def training_defaults(task: str) -> dict[str, Value]:
    """The defaults of all settings of training for a task."""
    return defaults(training(task))


def _kinds(task: str) -> tuple[str, ...]:
    return "Optimisation", *_OF_TASK[task]


def check_together(run: Mapping[str, Any]) -> None:
    """``ValueError`` if a run's values are allowed one by one but not together."""
    for kind in _kinds(task_of(run["dataset"])):
        if (training_rule := _rule(*_TRAINING, f"check_{kind.lower()}")) is not None:
            training_rule.hold(run)
    _check_position(run)
    for axis in naming(run):
        _check_component(axis, run)


def _check_component(axis: str, run: Mapping[str, Any]) -> None:
    room, name = component(axis, run)
    declared, stated = settings(room, name), literals(room, name)
    own = {key: run.get(f"{axis}.{key}", setting.default) for key, setting in declared.items()}
    others = {key: value for key, value in run.items() if key != "seed"}  # runs differ by it alone
    try:
        if "REQUIRES" in stated:
            old_form.check_together(stated, others, own, axis)
        elif (found := _rule(room, name, "check_settings")) is not None:
            found.hold({**others, **own})
    except ValueError as error:
        raise ValueError(f"{axis} '{run[axis]}': {error}") from None


@cache
def _rule(room: str, name: str, function: str) -> Rule | None:
    return rule(source(room, name), literals(room, name), function)


def _check_position(run: Mapping[str, Any]) -> None:
    """An attention that takes position inside needs an encoding that has some to give."""
    room, name = component("aggregator", run)  # of a model without: no file, and not looked for
    if room != "attention" or not flag(room, name, "POSITION_INSIDE"):
        return
    if not flag("encodings", run["encoding"], "ADDS_POSITION"):
        giving = [e for e in registry.names("encodings") if flag("encodings", e, "ADDS_POSITION")]
        raise ValueError(
            f"aggregator '{name}' needs an encoding with positions, but the encoding is '{run['encoding']}'; "
            f"valid: {', '.join(giving)}"
        )


def check_facts(axis: str, run: Mapping[str, Any]) -> None:
    """``ValueError`` if a component's file does not declare what training needs of it."""
    room, name = component(axis, run)
    check_flags(room, name)
    if axis == "dataset" and task_of(name) == "classification":
        facts = stated(name)
        if facts is None and "FILE_SETTING" in literals(room, name):
            facts = {"classes": 1}  # counted once the user's folder is read
        classes = facts.get("classes") if isinstance(facts, dict) else None
        if type(classes) is not int or classes < 1:
            raise ValueError(
                f"{source(room, name).file} must say how many classes there are: FACTS = {{'classes': 10, ...}}"
            )
        if not exists("train", "feeds", feed_of(name)):
            raise ValueError(f"{source(room, name).file}: no feed '{feed_of(name)}' in favit/train/feeds")
