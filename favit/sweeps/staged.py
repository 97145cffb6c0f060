"""The parts of a sweep that depend on results: how many seeds, and which settings of a grid. As written, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from favit.sweeps.errors import ConfigError


@dataclass(frozen=True)
class Rounds:
    """``seed: {min: 3, max: 10, stop: decided}``: seeds 0 ... last - 1, of which ``first`` are trained in any case."""

    first: int
    last: int


@dataclass(frozen=True)
class Tune:
    """``tune``: the values of each setting of the grid, the seeds that choose, and whether validation images are
    trained on in the end."""

    grid: Mapping[str, list[Any]]
    seeds: tuple[int, ...]
    refit: bool = False


def rounds_of(name: str, matrix: Mapping[str, Any]) -> tuple[Mapping[str, list[Any]], Rounds | None]:
    """The matrix with all possible seeds, and the rounds where it asks for such."""
    seeds = matrix.get("seed")
    if not isinstance(seeds, Mapping):
        return matrix, None
    if seeds["min"] > seeds["max"]:
        raise ConfigError(f"sweeps.{name}.matrix.seed: min ({seeds['min']}) exceeds max ({seeds['max']})")
    return {**matrix, "seed": list(range(seeds["max"]))}, Rounds(seeds["min"], seeds["max"])


def tune_of(body: Mapping[str, Any]) -> Tune | None:
    """``tune`` of a sweep, None if it has none."""
    tune = body.get("tune")
    return None if tune is None else Tune(tune["grid"], tuple(tune["seeds"]), tune.get("refit", False))
