"""From a sweep to the cells of its table: each run under the name of its row, within its group. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from favit.components import declared, registry, timm_names
from favit.components.literals import families, task_of
from favit.components.nearest import unknown, unknown_setting
from favit.components.setting import Setting
from favit.sweeps import beside, published
from favit.sweeps.apart import told_apart
from favit.sweeps.config import ConfigError, SweepConfig, TableConfig
from favit.sweeps.matrix import expand
from favit.sweeps.names import axis_written, written
from favit.sweeps.resolve import AXES, Run, check_axes, component_settings, resolve

# Keys of a matrix's row for the table only: never part of a run's identity.
TABLE_KEYS = ("label", "reference")


# What a row is by itself; its label stands for these together.
_MECHANISM = ("aggregator", "encoding")


@dataclass(frozen=True)
class Cell:
    """A run's place in a sweep's table.

    ``row`` names what the row stands for in the configuration's words: its mechanism (``max_pool``, or
    ``max_pool/learned`` where encodings vary, or the row's own label), behind the other axes that ``table.rows``
    names (``favit_b0/max_pool``), whose values are in ``values``; of a model without aggregator the model's name.
    ``label`` is what readers see, ``reference`` the published row, and ``group`` what it is compared within, such as
    model and horizon.
    """

    run: Run
    row: str
    label: str
    reference: str
    group: tuple[tuple[str, Any], ...] = ()
    values: tuple[tuple[str, Any], ...] = ()


def cells(sweep: SweepConfig) -> list[Cell]:
    """Expand a sweep. Raises ``ConfigError`` with one line for anything that its writer has to change."""
    try:
        combinations = expand(sweep.matrix, sweep.include, sweep.exclude)
        own = {combination.get("model", sweep.settings.get("model")) for combination in combinations}
        beside.check(sweep, {timm_names.kept(model) for model in own if isinstance(model, str)})
        _check_used(sweep, combinations)
        resolved = [(_run(sweep, combination), combination) for combination in combinations]
        axes = row_axes(sweep.table, resolved)
        placed = _grouped(sweep, resolved, axes)
        _check_table(sweep, combinations, placed, axes)
        named = told_apart(cell.run for cell in placed)
        return [
            cell if (run := named[cell.run.key]) is cell.run else replace(cell, run=run) for cell in placed
        ]
    except ValueError as error:
        raise ConfigError(f"sweeps.{sweep.name}: {error}") from None


def row_axes(table: TableConfig, resolved: list[tuple[Run, dict[str, Any]]]) -> list[str]:
    """The axes that make a row: those that the table names, else the mechanism as far as it varies."""
    if not table.rows:
        encodings = {run["encoding"] for run, combination in resolved if "label" not in combination}
        return [*_MECHANISM] if len(encodings) > 1 else ["aggregator"]
    valid = list(dict.fromkeys(key for run, _ in resolved for key in (*AXES, *run.settings) if key != "seed"))
    _all_known("table.rows: axis", table.rows, valid)
    return list(table.rows)


def unused(sweep: SweepConfig) -> list[str]:
    """The recipe's settings that belong to a component which no row has: they are left out."""
    try:
        known = _component_settings(sweep, expand(sweep.matrix, sweep.include, sweep.exclude))
    except ValueError:
        return []  # said by `cells`
    return [key for key in sweep.recipe.keys if "." in key and key not in known]


def _run(sweep: SweepConfig, combination: Mapping[str, Any]) -> Run:
    """A combination's run. An error says which row of the matrix brought what is wrong."""
    try:
        for key in TABLE_KEYS:
            _check_text(key, combination.get(key, ""))
        return resolve({k: v for k, v in combination.items() if k not in TABLE_KEYS}, sweep.settings)
    except ValueError as error:
        rows = [
            f"matrix.{axis}, row {number}"
            for axis, values in sweep.matrix.items()
            for number, value in enumerate(values, 1)
            if isinstance(value, Mapping) and value.items() <= combination.items()
        ]
        said = f"{error}{_brought(sweep, str(error))}"
        raise ValueError(f"{', '.join(rows)}: {said}" if rows else said) from None


def _brought(sweep: SweepConfig, error: str) -> str:
    """The addition to an error about a setting of the recipe: how to remove it."""
    for key in sweep.recipe.keys:
        if error.startswith(f"{key} "):
            return f" ({_recipe_brings(sweep, key)})"
    return ""


def _recipe_brings(sweep: SweepConfig, key: str) -> str:
    return f"from recipe '{sweep.recipe.name}'; settings: {{{key}: null}} removes it"


def _check_text(key: str, value: Any) -> None:
    """``ValueError`` unless it is text or a number: YAML reads yes and no as other than text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value != value:
        raise ValueError(f"{key} must be text, not {value!r}")


def _row(table: TableConfig, run: Run, combination: Mapping[str, Any], axes: list[str]) -> Cell:
    """A combination's row, named, its group still open."""
    own = [str(combination["label"])] if "label" in combination else []
    values = tuple((a, run.settings.get(a, "default")) for a in axes if a not in _MECHANISM)
    parts = [table.labels.get(str(value), axis_written(axis, value)) for axis, value in values]
    if declared.aggregates(run["model"]):
        mechanism = own or [str(run[axis]) for axis in axes if axis in _MECHANISM]
        names = own or [table.labels.get(name, name) for name in mechanism]
    else:
        mechanism = own or ([] if "model" in axes else [run["model"]])
        names = own or [table.labels.get(name, written(name)) for name in mechanism]
    row = "/".join([*(str(value) for _, value in values), *mechanism])
    shown = ", ".join([*parts, *names])
    alone = "/".join(mechanism) or run["model"]
    if "model" not in axes and not declared.aggregates(run["model"]):
        values += (("model", run["model"]),)
    named = table.references.get(row, table.references.get(alone, alone))
    return Cell(
        run,
        row,
        label=shown if own else table.labels.get(row, shown),
        reference=str(combination.get("reference", named)),
        values=values,
    )


def _grouped(
    sweep: SweepConfig, resolved: list[tuple[Run, dict[str, Any]]], row_axes: list[str]
) -> list[Cell]:
    """The cells with their groups, each once, behind them those of the models beside."""
    rows = [_row(sweep.table, *each, row_axes) for each in resolved]
    axes = _group_axes(sweep, rows, row_axes)
    found: dict[Any, Cell] = {}
    for cell in rows:
        group = tuple((axis, cell.run.settings.get(axis, "default")) for axis in axes)
        found.setdefault((cell.row, group, cell.run.key), replace(cell, group=group))
    for (run, combination), cell in zip(resolved, rows, strict=True):
        group = tuple((axis, run.settings.get(axis, "default")) for axis in axes)
        for added in beside.combinations(sweep, combination, run["model"]):
            cell = replace(_row(sweep.table, _beside(sweep, added), added, row_axes), group=group)
            found.setdefault((cell.row, group, cell.run.key), cell)
    _check_repetitions(found.values())
    return list(found.values())


def _beside(sweep: SweepConfig, combination: Mapping[str, Any]) -> Run:
    try:
        return resolve({k: v for k, v in combination.items() if k not in TABLE_KEYS}, sweep.settings)
    except ValueError as error:
        raise ValueError(f"beside: {error}") from None


def _check_repetitions(placed: Iterable[Cell]) -> None:
    """Runs of a row within a block are averaged: they differ by their seed alone."""
    first: dict[Any, Mapping[str, Any]] = {}
    for cell in placed:
        now = cell.run.settings
        then = first.setdefault((cell.row, cell.group), now)
        if differing := sorted(k for k in {*then, *now} - {"seed"} if then.get(k) != now.get(k)):
            raise ValueError(
                f"row '{cell.row}' would average runs that differ in {', '.join(differing)}; make it an axis "
                "of the matrix, or add it to table.rows"
            )


def _group_axes(sweep: SweepConfig, rows: list[Cell], row_axes: list[str]) -> list[str]:
    """What a table's rows are compared within: data set, model, every other plain axis that makes no row.

    Besides them whatever still differs, but for the seed, between runs of one
    row: its runs are averaged, so they must be repetitions of each other.
    """
    plain = [a for a, values in sweep.matrix.items() if not any(isinstance(v, Mapping) for v in values)]
    axes = ["dataset", "model", *(a for a in plain if a not in AXES and a not in TABLE_KEYS)]
    axes = [axis for axis in axes if axis not in row_axes]
    while more := _still_differing(rows, axes):
        axes += more
    return axes


def _still_differing(rows: list[Cell], axes: list[str]) -> list[str]:
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for cell in rows:
        now = cell.run.settings
        then = first.setdefault((cell.row, *(now.get(axis) for axis in axes)), now)
        if {**then, "seed": now["seed"]} != now:
            found = sorted(k for k in {*then, *now} - {"seed"} if then.get(k) != now.get(k))
            # Another mechanism has other settings, too: its name says it all.
            return [k for k in found if k in AXES] or found
    return []


def _check_used(sweep: SweepConfig, combinations: list[dict[str, Any]]) -> None:
    """``ValueError`` for a component's setting that no row has."""
    if not combinations:
        raise ValueError("exclude removes every run")
    _check_recipe_of_task(sweep, combinations)
    own = [key for key in sweep.settings if "." in key and key not in sweep.recipe.keys]
    if own:
        valid = _component_settings(sweep, combinations)
        for key in own:
            if key not in valid:
                raise ValueError(unknown_setting(key, (), valid))


def _component_settings(sweep: SweepConfig, combinations: list[dict[str, Any]]) -> dict[str, Setting]:
    """The settings of all components that the sweep's runs name, those of models beside included."""
    valid: dict[str, Setting] = {}
    for combination in combinations:
        axes: dict[str, Any] = {axis: combination.get(axis, sweep.settings.get(axis)) for axis in AXES}
        axes["model"] = timm_names.kept(axes["model"])
        check_axes(axes, combination)
        valid |= component_settings(axes)
        for entry in beside.entries(sweep, axes["model"]):
            own = timm_names.kept(entry["model"])
            alone = {**axes, "model": own, "aggregator": "none", "encoding": "none"}
            check_axes(alone, combination)
            valid |= component_settings(alone)
    return valid


def _check_recipe_of_task(sweep: SweepConfig, combinations: list[dict[str, Any]]) -> None:
    """``ValueError`` for a recipe of the other task, whose settings these runs do not have."""
    named: set[Any] = {c.get("dataset", sweep.settings.get("dataset")) for c in combinations}
    for dataset in sorted(named & set(registry.names("data"))):
        task = task_of(dataset)
        for key in sweep.recipe.keys:
            if "." not in key and key not in (*AXES, *declared.training(task)):
                raise ValueError(f"{key} is not a setting of {task} ({_recipe_brings(sweep, key)})")


def _check_table(
    sweep: SweepConfig, combinations: list[dict[str, Any]], placed: list[Cell], row_axes: list[str]
) -> None:
    """``ValueError`` for unknown names under ``table``. Labels may name mechanisms of other sweeps."""
    table, rows = sweep.table, list(dict.fromkeys(cell.row for cell in placed))
    rooms = {declared.room_of(cell.run["model"]) for cell in placed} - {"none"} | {"encodings"}
    mechanisms = sorted({name for room in rooms for name in registry.names(room)} | {*families()} - set(rows))
    references = [*table.references.values(), *(c["reference"] for c in combinations if "reference" in c)]
    _all_known("table.baseline: row", [table.baseline], rows)
    _all_known("table.labels: row or mechanism", table.labels, [*rows, *mechanisms])
    alone = {cell.row.rpartition("/")[2] for cell in placed} | set(mechanisms)
    _all_known("table.references: row", table.references, [*rows, *sorted(alone - set(rows))])
    _all_known("published row", map(str, references), published.rows())
    if table.baseline:
        _check_baseline(table.baseline, placed, row_axes)


def _check_baseline(baseline: str, placed: list[Cell], row_axes: list[str]) -> None:
    """Every block has the row that its others are compared with, or their differences would vanish unsaid."""
    with_it = {cell.group for cell in placed if cell.row == baseline}
    without = next((cell for cell in placed if cell.group not in with_it), None)
    if without is None:
        return
    nearest = min(with_it, key=lambda group: len(set(group) ^ set(without.group)))
    differing = [
        axis for (axis, value), (_, other) in zip(nearest, without.group, strict=True) if value != other
    ]
    there, here = ({a: v for a, v in g if a in differing} for g in (nearest, without.group))
    raise ValueError(
        f"'{without.row}' ({_named(here)}) cannot be compared: table.baseline '{baseline}' is in another block "
        f"({_named(there)}); put both in one block with table.rows: "
        f"[{', '.join([*differing, *row_axes])}], or remove table.baseline"
    )


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis} {value}" for axis, value in values.items())


def _all_known(what: str, names: Iterable[str], valid: list[str]) -> None:
    for name in names:
        if name and name not in valid:
            raise ValueError(unknown(f"{what} '{name}'", name, valid))
