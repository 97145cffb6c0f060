"""From a sweep to the cells of its table: each run under the name of its row, within its group. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from favit.components import declared, registry
from favit.components.nearest import unknown, unknown_setting
from favit.components.setting import Setting
from favit.sweeps import published
from favit.sweeps.config import ConfigError, SweepConfig, TableConfig
from favit.sweeps.matrix import expand
from favit.sweeps.resolve import AXES, Run, check_axes, component_settings, resolve

# Keys of a matrix's row for the table only: never part of a run's identity.
TABLE_KEYS = ("label", "reference")


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
    group: tuple[tuple[str, Any], ...] = ()


def cells(sweep: SweepConfig) -> list[Cell]:
    """Expand a sweep. Raises ``ConfigError`` with one line for anything that its writer has to change."""
    try:
        combinations = expand(sweep.matrix, sweep.include, sweep.exclude)
        _check_used(sweep, combinations)
        placed = _grouped(sweep, _rows(sweep, combinations))
        _check_table(sweep, combinations, placed)
        return placed
    except ValueError as error:
        raise ConfigError(f"sweeps.{sweep.name}: {error}") from None


def _rows(sweep: SweepConfig, combinations: list[dict[str, Any]]) -> list[Cell]:
    """A cell for each combination, named, its group still open."""
    resolved = [(_run(sweep, combination), combination) for combination in combinations]
    encodings = {run["encoding"] for run, combination in resolved if "label" not in combination}
    return [_row(sweep.table, run, combination, len(encodings) > 1) for run, combination in resolved]


def _run(sweep: SweepConfig, combination: Mapping[str, Any]) -> Run:
    return resolve({k: v for k, v in combination.items() if k not in TABLE_KEYS}, sweep.settings)


def _row(table: TableConfig, run: Run, combination: Mapping[str, Any], with_encoding: bool) -> Cell:
    mechanism = [run["aggregator"], run["encoding"]] if with_encoding else [run["aggregator"]]
    row = str(combination.get("label", "/".join(mechanism)))
    shown = ", ".join(table.labels.get(name, name) for name in mechanism)
    return Cell(
        run,
        row,
        label=str(combination.get("label", table.labels.get(row, shown))),
        reference=str(combination.get("reference", table.references.get(row, row))),
    )


def _grouped(sweep: SweepConfig, rows: list[Cell]) -> list[Cell]:
    """The cells with their groups, each once."""
    axes = _group_axes(sweep, rows)
    found: dict[Any, Cell] = {}
    for cell in rows:
        group = tuple((axis, cell.run.settings.get(axis, "default")) for axis in axes)
        found.setdefault(
            (cell.row, group, cell.run.key), Cell(cell.run, cell.row, cell.label, cell.reference, group)
        )
    return list(found.values())


def _group_axes(sweep: SweepConfig, rows: list[Cell]) -> list[str]:
    """What a table's rows are compared within: data set, model, every other plain axis such as the horizon.

    Besides them whatever still differs, but for the seed, between runs of one
    row: its runs are averaged, so they must be repetitions of each other.
    """
    plain = [a for a, values in sweep.matrix.items() if not any(isinstance(v, Mapping) for v in values)]
    axes = ["dataset", "model", *(a for a in plain if a not in AXES and a not in TABLE_KEYS)]
    while more := _still_differing(rows, axes):
        axes += more
    return axes


def _still_differing(rows: list[Cell], axes: list[str]) -> list[str]:
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for cell in rows:
        now = cell.run.settings
        then = first.setdefault((cell.row, *(now.get(axis) for axis in axes)), now)
        if {**then, "seed": now["seed"]} != now:
            return sorted(k for k in {*then, *now} - {"seed"} if then.get(k) != now.get(k))
    return []


def _check_used(sweep: SweepConfig, combinations: list[dict[str, Any]]) -> None:
    """A component's setting reaches the rows whose component has it; one that reaches none is a slip."""
    if not combinations:
        raise ValueError("exclude leaves no run")
    for key in (key for key in sweep.settings if "." in key):
        valid: dict[str, Setting] = {}
        for combination in combinations:
            axes = {axis: combination.get(axis, sweep.settings.get(axis)) for axis in AXES}
            check_axes(axes, combination)
            valid |= component_settings(axes)
        if key not in valid:
            raise ValueError(unknown_setting(key, (), valid))


def _check_table(sweep: SweepConfig, combinations: list[dict[str, Any]], placed: list[Cell]) -> None:
    """Whatever a table's words name is there. Labels may name mechanisms that are in other sweeps only."""
    table, rows = sweep.table, list(dict.fromkeys(cell.row for cell in placed))
    rooms = {declared.room_of(cell.run["model"]) for cell in placed} | {"encodings"}
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
