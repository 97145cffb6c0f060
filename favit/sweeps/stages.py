"""All runs that a sweep may ask for if results decide which; known before the first of them is trained.

A *place* is a row in its group. Each has *options*, the settings that ``tune`` may choose for it, of which it has one
where nothing is tuned; an option has its *candidates*, the runs by which it is judged, and its *cells*, the runs that
the table shows if it is chosen, in the order of seeds. Which runs are asked for now is favit.analysis.asked. Free of
torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from favit.components import declared
from favit.components.literals import trained
from favit.sweeps.apart import told_apart
from favit.sweeps.cells import Cell, cells
from favit.sweeps.config import ConfigError, SweepConfig
from favit.sweeps.matrix import expand
from favit.sweeps.resolve import AXES, Run, component_settings
from favit.sweeps.staged import Tune

SPLIT = "validation_split"

_MEASURED = ("horizon", "limit_test")
"""Settings that say what is scored."""

PlaceKey = tuple[tuple[tuple[str, Any], ...], str]


@dataclass(frozen=True)
class Option:
    """One of the settings that a place may get: ``values`` of the grid."""

    values: Mapping[str, Any]
    candidates: tuple[Run, ...]
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """``lr 0.001``."""
        return ", ".join(f"{key} {value}" for key, value in self.values.items())


@dataclass(frozen=True)
class Place:
    """A row of one group, with its options in the order of the grid."""

    group: tuple[tuple[str, Any], ...]
    row: str
    options: tuple[Option, ...]

    @property
    def key(self) -> PlaceKey:
        """Group and row."""
        return self.group, self.row


@dataclass(frozen=True)
class Possible:
    """A sweep's places."""

    sweep: SweepConfig
    places: tuple[Place, ...]

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell that the table may show."""
        return [cell for place in self.places for option in place.options for cell in option.cells]

    @cached_property
    def runs(self) -> list[Run]:
        """Every run that may be asked for, each once; those that are asked for first come first."""
        options = [option for place in self.places for option in place.options]
        every = [*(run for o in options for run in o.candidates), *(cell.run for cell in self.cells)]
        return list({run.key: run for run in every}.values())


def possible(sweep: SweepConfig) -> Possible:
    """All runs that a sweep may ask for. Raises ``ConfigError`` as ``cells`` does."""
    margin = sweep.table.equivalence_margin
    try:
        if margin is not None and not math.isfinite(margin):
            raise ValueError(f"table.equivalence_margin must be finite, not {margin}")
        found = _by_place(sweep) if sweep.tune is None else _tuned(sweep, sweep.tune)
        if sweep.rounds is not None:
            _check_rounds(sweep, found)
        elif margin is not None:
            raise ValueError(
                "table.equivalence_margin says when seeds are enough, and here their number is given; remove it, or "
                "write matrix.seed: {min: 3, max: 10, stop: decided}"
            )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"sweeps.{sweep.name}: {error}") from None
    return Possible(sweep, tuple(found))


def _by_place(sweep: SweepConfig) -> list[Place]:
    """Places with one option each."""
    places: dict[PlaceKey, list[Cell]] = {}
    for cell in cells(sweep):
        places.setdefault((cell.group, cell.row), []).append(cell)
    return [Place(group, row, (Option({}, (), tuple(of)),)) for (group, row), of in places.items()]


def _tuned(sweep: SweepConfig, tune: Tune) -> list[Place]:
    _check_grid(sweep, tune)
    options: dict[PlaceKey, dict[tuple[str, ...], Option]] = {}
    for values in _points(tune.grid):
        settings = {**sweep.settings, **values}
        for place in _by_place(replace(sweep, settings=settings, tune=None)):
            if place.key in options and not trained(place.options[0].cells[0].run["model"]):
                continue  # a model that is not trained has nothing to choose
            option = _option(place, values, tune)
            keys = tuple(cell.run.key for cell in option.cells)
            options.setdefault(place.key, {}).setdefault(
                keys, option
            )  # a setting that a row lacks is no choice
    tuned = [Place(group, row, _to_choose_from(of.values())) for (group, row), of in options.items()]
    named = told_apart(Possible(sweep, tuple(tuned)).runs)
    return [replace(p, options=tuple(_renamed(option, named) for option in p.options)) for p in tuned]


def _to_choose_from(options: Iterable[Option]) -> tuple[Option, ...]:
    """Options; of a single one nothing is to be found out."""
    found = tuple(options)
    return found if len(found) > 1 else tuple(replace(option, candidates=()) for option in found)


def _points(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """All combinations of a grid, its first setting slowest."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _option(place: Place, values: Mapping[str, Any], tune: Tune) -> Option:
    of = place.options[0].cells
    run = of[0].run
    if run.task == "classification" and not run[SPLIT]:
        raise ValueError(
            f"tune needs validation images, but {SPLIT} is 0; hold back a share of the training images in settings, "
            f"such as {SPLIT}: 0.1"
        )
    if run.task != "classification" and tune.refit:
        raise ValueError(
            "tune.refit is for images only: forecasting needs its validation part to choose the epoch of each run; "
            "remove tune.refit"
        )
    if not trained(run["model"]):
        return Option({}, (), of)
    candidates = tuple(_with(run, seed=seed) for seed in tune.seeds)
    if tune.refit:
        of = tuple(replace(cell, run=_with(cell.run, **{SPLIT: 0.0})) for cell in of)
    return Option(_trained_with(run, values), candidates, of)


def _trained_with(run: Run, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a grid's values that a run has: a row may lack a setting, and a model beside bring its own value."""
    known = {**declared.training(run.task), **component_settings(run.settings)}
    found = {
        key: known[key].check(key, value) for key, value in values.items() if key in known
    }  # 1e-4 is text in YAML
    # Of a component's setting at its default a run says nothing.
    return {key: value for key, value in found.items() if run.settings.get(key, known[key].default) == value}


def _with(run: Run, **changes: Any) -> Run:
    return Run({**run.settings, **changes}, run.chosen)


def _renamed(option: Option, named: Mapping[str, Run]) -> Option:
    return replace(
        option,
        candidates=tuple(named[run.key] for run in option.candidates),
        cells=tuple(replace(cell, run=named[cell.run.key]) for cell in option.cells),
    )


def _check_grid(sweep: SweepConfig, tune: Tune) -> None:
    """``ValueError`` for a grid of anything but settings, or of settings that are given elsewhere."""
    combinations = expand(sweep.matrix, sweep.include, sweep.exclude)
    given = {key for combination in combinations for key in combination}
    own = sweep.settings.keys() - set(sweep.recipe.keys)
    for key in tune.grid:
        if key in AXES or key == SPLIT:
            raise ValueError(f"tune.grid.{key} cannot be tuned; name settings of training or of a component")
        if key in _MEASURED or key.startswith("dataset."):
            raise ValueError(
                f"tune.grid.{key} cannot be tuned: scores of runs that differ in it are not comparable; "
                "make it an axis of the matrix"
            )
        if key in own:
            raise ValueError(
                f"tune: {key} is in settings, too, where its value is never used; remove it there"
            )
    for key in [*tune.grid, *([SPLIT] if tune.refit else [])]:
        if key in given:
            raise ValueError(
                f"tune: {key} is in the matrix, too, where its value would win; give it in one of them"
            )
        if key in sweep.table.rows:
            raise ValueError(f"tune: {key} is in table.rows, so each row has its own value; remove it there")


def _check_rounds(sweep: SweepConfig, places: list[Place]) -> None:
    """Each place that is trained has all seeds, once, and something to be compared with."""
    if not sweep.table.baseline:
        raise ValueError(
            "matrix.seed with stop: decided needs a row to compare with; name it in table.baseline"
        )
    for place in places:
        seeds = [cell.run["seed"] for cell in place.options[0].cells]
        if not trained(place.options[0].cells[0].run["model"]):
            continue  # its one result is that of every seed
        if seeds != sweep.matrix["seed"]:
            raise ValueError(
                f"matrix.seed with stop: decided gives each row the same seeds, but '{place.row}' has {seeds}; "
                "remove seed from exclude, include and the other axes of the matrix"
            )
