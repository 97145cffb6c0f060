"""From the configuration of a sweep to the description of its table."""

from __future__ import annotations

from favit.analysis.names import head
from favit.analysis.table import Row, TableSpec
from favit.sweeps import beside
from favit.sweeps.config import SweepConfig
from favit.sweeps.runs import Cell
from favit.sweeps.stages import SPLIT


def table_spec(sweep: SweepConfig, in_sweep: list[Cell]) -> TableSpec:
    """What the configuration says about a sweep's table."""
    rows = {c.row: Row(c.row, c.label, c.reference or None, dict(c.values)) for c in in_sweep}
    groups = {cell.group: dict(cell.group) for cell in in_sweep}
    return TableSpec(
        name=sweep.name,
        caption=sweep.table.caption or sweep.name,
        label=sweep.table.label or f"tab:{sweep.name}",
        task=in_sweep[0].run.task,
        rows=tuple(rows.values()),
        baseline=sweep.table.baseline or None,
        group_by=tuple(name for name, _ in in_sweep[0].group),
        groups=tuple(groups.values()),
        pairing=pairing_of(sweep),
        head=head(sweep.table.rows),
        recipe=_recipe(sweep),
        against_published=sweep.recipe.published,
        rounds=(sweep.rounds.first, sweep.rounds.last) if sweep.rounds else None,
        margin=sweep.table.equivalence_margin,
    )


def pairing_of(sweep: SweepConfig) -> str:
    """Which seeds of two rows are paired: ``auto``, ``paired`` or ``unpaired`` (``favit.analysis.comparisons``)."""
    if sweep.rounds and sweep.table.pairing == "auto":
        # One choice for all looks, made before any; where most are at few seeds pairing seldom pays.
        return "unpaired"
    return sweep.table.pairing


def _recipe(sweep: SweepConfig) -> str:
    """``study, with lr 0.001; dlinear: lr 0.005``; empty if the sweep names no recipe."""
    refit = sweep.tune is not None and sweep.tune.refit
    changed = ", ".join(
        f"{key} {value}{' while choosing' if refit and key == SPLIT else ''}"
        for key, value in sweep.recipe.changed.items()
        if value is not None
    )
    name = f"{sweep.recipe.name}, with {changed}" if changed else sweep.recipe.name
    return f"{name}; {own}" if name and (own := beside.said(sweep)) else name
