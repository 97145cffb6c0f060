"""From a sweep's matrix to its runs, each resolved to flat, plain, sorted settings.

``favit sweep SWEEP`` prints them, one JSON a line. Free of torch.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from favit.components import declared, registry
from favit.components.literals import families, literals, task_of
from favit.components.nearest import unknown
from favit.sweeps import published
from favit.sweeps.config import Config, ConfigError, SweepConfig

AXES = ("dataset", "model", "aggregator", "encoding", "seed")

# Of a row of the matrix, for the table only: never part of a run's identity.
TABLE_KEYS = ("label", "reference")


@dataclass(frozen=True)
class Run:
    """One training run: what its result depends on, and nothing else.

    ``settings`` is flat: the axes, every training setting, and the settings of
    the components that it names (``aggregator.factor``) where they differ from
    their defaults. ``chosen`` are the keys that the configuration gave itself.
    """

    settings: Mapping[str, Any]
    chosen: frozenset[str] = frozenset()

    @cached_property
    def key(self) -> str:
        """Canonical JSON: equal for equal runs, whichever sweep asks for them."""
        return json.dumps(self.settings, sort_keys=True, separators=(",", ":"))

    def __getitem__(self, name: str) -> Any:
        return self.settings[name]

    @property
    def name(self) -> str:
        """For people: ``favit_b0.probsparse.none.seed0``."""
        s = self.settings
        return f"{s['model']}.{s['aggregator']}.{s['encoding']}.seed{s['seed']}"

    @property
    def task(self) -> str:
        """``classification`` or ``forecasting``."""
        return task_of(self.settings["dataset"])


@dataclass(frozen=True)
class Cell:
    """A run's place in a sweep's table.

    ``row`` names its mechanism in the configuration's words (``max_pool``, or
    ``max_pool/learned`` where encodings vary, or the row's own label), ``label``
    is what readers see, ``reference`` the published row, and ``group`` what it
    is compared within, such as model and horizon.
    """

    run: Run
    row: str
    label: str
    reference: str
    group: tuple[tuple[str, Any], ...]


def runs(config: Config, target: str = "all") -> list[Run]:
    """The distinct runs of a sweep, a group or ``all``, in the order of the configuration."""
    distinct = {cell.run.key: cell.run for sweep in config.sweeps_of(target) for cell in cells(sweep)}
    return list(distinct.values())


def cells(sweep: SweepConfig) -> list[Cell]:
    """Expand a sweep. Raises ``ConfigError`` with one line for anything that its writer has to change."""
    try:
        combinations = expand(sweep.matrix, sweep.include, sweep.exclude)
        _check_used(sweep, combinations)
        found = _placed(sweep, combinations)
        _check_table(sweep, combinations, found)
        return found
    except ValueError as error:
        raise ConfigError(f"sweeps.{sweep.name}: {error}") from None


def expand(
    matrix: Mapping[str, list[Any]],
    include: tuple[Mapping[str, Any], ...] = (),
    exclude: tuple[Mapping[str, Any], ...] = (),
) -> list[dict[str, Any]]:
    """All combinations of a matrix, the first axis slowest, as a CI matrix expands.

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
    combinations = [dict(c) for c in original]
    for entry in include:
        at_home = [
            extended
            for extended, base in zip(combinations, original, strict=False)
            if all(base.get(k, v) == v for k, v in entry.items())
        ]
        for combination in at_home:
            combination.update(entry)
        if not at_home:
            combinations.append(dict(entry))
    return combinations


def _merged(pairs: Iterator[tuple[str, Any]] | Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for axis, value in pairs:
        own = value if isinstance(value, Mapping) else {axis: value}
        if not merged.keys().isdisjoint(own):
            raise ValueError(
                f"matrix.{axis}: {', '.join(sorted(merged.keys() & own))} is given by another axis, too"
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


def _placed(sweep: SweepConfig, combinations: list[dict[str, Any]]) -> list[Cell]:
    """The cells of combinations, each once."""
    resolved = [
        resolve({k: v for k, v in combination.items() if k not in TABLE_KEYS}, sweep.settings)
        for combination in combinations
    ]
    unnamed = {run["encoding"] for run, c in zip(resolved, combinations, strict=True) if "label" not in c}
    named = [_row(sweep, run, c, len(unnamed) > 1) for run, c in zip(resolved, combinations, strict=True)]
    axes = _group_axes(sweep, [(run, row) for run, (row, *_) in zip(resolved, named, strict=True)])
    found: dict[Any, Cell] = {}
    for run, names in zip(resolved, named, strict=True):
        group = tuple((axis, run.settings.get(axis, "default")) for axis in axes)
        found.setdefault((names[0], group, run.key), Cell(run, *names, group))
    return list(found.values())


def _row(
    sweep: SweepConfig, run: Run, combination: Mapping[str, Any], with_encoding: bool
) -> tuple[str, str, str]:
    """Name, label and published reference of a run's row."""
    mechanism = [run["aggregator"], run["encoding"]] if with_encoding else [run["aggregator"]]
    row = str(combination.get("label", "/".join(mechanism)))
    shown = ", ".join(sweep.table.labels.get(name, name) for name in mechanism)
    label = str(combination.get("label", sweep.table.labels.get(row, shown)))
    return row, label, str(combination.get("reference", sweep.table.references.get(row, row)))


def _check_table(sweep: SweepConfig, combinations: list[dict[str, Any]], found: list[Cell]) -> None:
    """Whatever a table's words name is there. Labels may name mechanisms that are in other sweeps only."""
    table, rows = sweep.table, list(dict.fromkeys(cell.row for cell in found))
    rooms = {declared.room_of(cell.run["model"]) for cell in found} | {"encodings"}
    mechanisms = sorted({name for room in rooms for name in registry.names(room)} - set(rows))
    references = [*table.references.values(), *(c["reference"] for c in combinations if "reference" in c)]
    _all_known("table.baseline: row", [table.baseline], rows)
    _all_known("table.labels: row or mechanism", table.labels, [*rows, *mechanisms])
    _all_known("table.references: row", table.references, rows)
    _all_known("published row", map(str, references), published.rows())


def _all_known(what: str, names: Iterable[str], valid: list[str]) -> None:
    for name in names:
        if name and name not in valid:
            raise ValueError(unknown(f"{what} '{name}'", name, valid))


def _group_axes(sweep: SweepConfig, named: list[tuple[Run, str]]) -> list[str]:
    """What a table's rows are compared within: data set, model, every other plain axis such as the horizon.

    Besides them whatever still differs, but for the seed, between runs of one
    row: its runs are averaged, so they must be repetitions of each other.
    """
    plain = [a for a, values in sweep.matrix.items() if not any(isinstance(v, Mapping) for v in values)]
    axes = ["dataset", "model", *(a for a in plain if a not in AXES and a not in TABLE_KEYS)]
    while more := _still_differing(named, axes):
        axes += more
    return axes


def _still_differing(named: list[tuple[Run, str]], axes: list[str]) -> list[str]:
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for run, row in named:
        now = run.settings
        then = first.setdefault((row, *(now.get(axis) for axis in axes)), now)
        if {**then, "seed": now["seed"]} != now:
            return sorted(k for k in {*then, *now} - {"seed"} if then.get(k) != now.get(k))
    return []


def _check_used(sweep: SweepConfig, combinations: list[dict[str, Any]]) -> None:
    """A component's setting reaches the rows whose component has it; one that reaches none is a slip."""
    if not combinations:
        raise ValueError("exclude leaves no run")
    for key in sweep.settings:
        if "." not in key:
            continue
        reached = False
        valid: set[str] = set()
        for combination in combinations:
            axes = {a: combination.get(a, sweep.settings.get(a)) for a in AXES}
            _check_axes(axes, combination)
            names = _component_settings(axes)
            valid |= names.keys()
            reached = reached or key in names
        if not reached:
            raise ValueError(unknown(f"setting '{key}'", key, sorted(valid)))


def resolve(given: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Run:
    """Resolve what a combination and its sweep's settings say; ``ValueError`` names what is allowed."""
    merged = {**(settings or {}), **given}
    if "seed" not in merged:
        raise ValueError("seed is not given, neither in the matrix nor in the settings")
    seed = declared.check("seed", merged.pop("seed"), 0, 0)
    own = frozenset(key for key in given if key != "seed")
    # Runs that differ by their seed alone are resolved once: sweeps have thousands of them.
    try:
        flat, chosen = _resolved(tuple(merged.items()), own, _types(merged))
    except TypeError:
        _check_plain(merged)
        raise
    return Run({**flat, "seed": seed}, chosen)


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
    _check_axes(axes, merged)
    components = _component_settings(axes)
    training, minimum = _training(task_of(axes["dataset"]))
    flat = {**{name: declared.default_of(default) for name, default in training.items()}, **axes}
    for key, value in merged.items():
        if key in training:
            flat[key] = declared.check(key, value, training[key], minimum.get(key))
        elif key in components:
            spec, bound = components[key]
            value = declared.check(key, value, spec, bound)
            if value != declared.default_of(spec):
                flat[key] = value
        elif "." not in key or key in given:
            raise ValueError(unknown(f"setting '{key}'", key, sorted([*AXES, *training, *components])))
    declared.check_together(flat)
    return dict(sorted({**flat, "seed": 0}.items())), frozenset({*axes, *merged, "seed"})


@lru_cache
def _training(task: str) -> tuple[dict[str, Any], dict[str, float]]:
    return declared.training_settings(task), declared.minimums(task)


def _component_settings(axes: Mapping[str, Any]) -> dict[str, tuple[Any, float | None]]:
    """``aggregator.factor`` -> (declaration, lower bound) for the components that a run names."""
    return _component_settings_of(*(axes.get(a) for a in AXES[:4]))


@lru_cache
def _component_settings_of(dataset: str, model: str, aggregator: str, encoding: str) -> dict[str, Any]:
    axes = {"dataset": dataset, "model": model, "aggregator": aggregator, "encoding": encoding}
    _check_names(*axes.values())
    found = {}
    for axis in axes:
        facts = literals(*declared.component(axis, axes))
        for name, spec in facts.get("SETTINGS", {}).items():
            found[f"{axis}.{name}"] = (spec, facts.get("MINIMUM", {}).get(name))
    return found


def _check_axes(axes: Mapping[str, Any], given: Iterable[str]) -> None:
    for axis in AXES[:4]:
        if axes.get(axis) is None:
            near = difflib.get_close_matches(axis, set(given) - set(AXES), n=1, cutoff=0.7)
            hint = f"; is '{near[0]}' meant to be it?" if near else ""
            raise ValueError(f"{axis} is not given, neither in the matrix nor in the settings{hint}")
    _check_names(*(axes[a] for a in AXES[:4]))


@lru_cache
def _check_names(dataset: Any, model: Any, aggregator: Any, encoding: Any) -> None:
    """Each name is known, and they go together."""
    _known("data set", dataset, registry.names("data"))
    _known("model", model, sorted(families()))
    task = task_of(dataset)
    if literals("models", families()[model])["TASK"] != task:
        fitting = sorted(m for m, family in families().items() if literals("models", family)["TASK"] == task)
        raise ValueError(
            f"model '{model}' cannot be trained on '{dataset}' ({task}); valid: {', '.join(fitting)}"
        )
    _known(f"aggregator for {model}", aggregator, registry.names(declared.room_of(model)))
    _known("encoding", encoding, _encodings_for(task))


def _encodings_for(task: str) -> list[str]:
    flag = {"classification": "IMAGES", "forecasting": "SERIES"}[task]
    return [e for e in registry.names("encodings") if literals("encodings", e).get(flag, True)]


def _known(what: str, name: Any, valid: list[str]) -> None:
    if name not in valid:
        raise ValueError(unknown(f"{what} '{name}'", str(name), valid))
