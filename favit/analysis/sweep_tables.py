"""A sweep's table from the results that count today. What is missing, stale or running is said in its footnotes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from favit.analysis import costs, runs_table, tables
from favit.analysis.names import head
from favit.analysis.tables import Row, RunResult, Table, TableSpec
from favit.disk.lease import holder_of
from favit.disk.run_folder import RunFolder
from favit.results import made
from favit.results.reasons import reason
from favit.results.state import Results, State
from favit.results.tables import distinct, files, folder, note, table_digest
from favit.sweeps.config import Config, SweepConfig
from favit.sweeps.runs import Cell, cells


def build(config: Config, sweep: SweepConfig, results: Results) -> tuple[Table, list[RunResult]]:
    """A sweep's table as it stands, and the runs behind it."""
    in_sweep = cells(sweep)
    return _build(config, sweep, in_sweep, results, _states(in_sweep, results))


def make(config: Config, sweep: SweepConfig, results: Results) -> Path:
    """Write a sweep's table; returns the path of its Markdown."""
    in_sweep = cells(sweep)
    # The digest is that of the same states as the table: a result that arrives meanwhile makes it outdated.
    states = _states(in_sweep, results)
    table, runs = _build(config, sweep, in_sweep, results, states)
    tables.write(table, folder(config), sweep.name)
    placed = [(cell, states[cell.run.key], run) for cell, run in zip(in_sweep, runs, strict=True)]
    runs_table.write(folder(config) / f"{sweep.name}.runs.csv", sweep.name, placed)
    digest = table_digest(sweep, in_sweep, results, states)
    written = files(config, sweep.name)
    made.record(note(config, sweep.name), digest, written)
    return next(path for path in written if path.suffix == ".md")


def _build(
    config: Config,
    sweep: SweepConfig,
    in_sweep: list[Cell],
    results: Results,
    states: Mapping[str, State],
) -> tuple[Table, list[RunResult]]:
    counted = costs.Costs(config.results / ".cache" / "costs.json", results.fingerprinter)
    spec = table_spec(sweep, in_sweep)
    asked = {state.fingerprint.settings for state in states.values()}
    placed = [(cell, states[cell.run.key]) for cell in in_sweep]
    runs = [run_result(cell, state, _stale(state, asked, results), spec.pairing) for cell, state in placed]
    table = tables.make(
        spec, runs, {(spec.key(dict(cell.group)), cell.row): counted.cost(cell.run) for cell in in_sweep}
    )
    counted.save()
    return table, runs


def _states(in_sweep: list[Cell], results: Results) -> dict[str, State]:
    return {state.run.key: state for state in results.states(distinct(in_sweep))}


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
        pairing=sweep.table.pairing,
        head=head(sweep.table.rows),
        recipe=_recipe(sweep),
        against_published=sweep.recipe.published,
    )


def _recipe(sweep: SweepConfig) -> str:
    """``study, with lr 0.001``; empty where the sweep names no recipe."""
    changed = ", ".join(f"{key} {value}" for key, value in sweep.recipe.changed.items())
    return f"{sweep.recipe.name}, with {changed}" if changed else sweep.recipe.name


def _stale(state: State, asked: set[str], results: Results) -> str:
    """Why no result of this run counts, in words; empty where one does or there is none.

    asked: digests of the settings of all runs in the sweep. Results of its other runs, such as another horizon's,
    lie in the same place; they are not stale.
    """
    if state.counts or not state.others:
        return ""
    settings = state.fingerprint.settings
    own = tuple(r for r in state.others if (s := r.fingerprint["settings"]) == settings or s not in asked)
    return reason(replace(state, others=own), results.fingerprinter) if own else ""


def run_result(cell: Cell, state: State, stale: str = "", pairing: str = "auto") -> RunResult:
    """A run as the table sees it; ``stale`` says why there is only a result that does not count."""
    common: dict[str, Any] = {
        "row_id": cell.row,
        "group": dict(cell.group),
        "seed": cell.run["seed"],
        "randomness": _randomness(cell, pairing),
        "name": cell.run.name,
        "folder": state.folder,
    }
    if state.result is not None:
        return RunResult(
            **common,
            state="accepted" if state.name == "accepted" else "valid",
            metrics=state.result.content,
            predictions=RunFolder(state.folder).predictions,
            note="; ".join(state.notes),
        )
    if holder_of(state.folder):
        return RunResult(**common, state="running")
    return RunResult(**common, state="stale" if stale else "missing", note=stale)


def _randomness(cell: Cell, pairing: str) -> str:
    """Equal for runs that share their randomness by construction.

    These differ in nothing but their mechanism: they see the same examples in the same order, and what their models
    have in common starts from the same values. A sweep that says ``paired`` pairs all runs of a seed and block.
    """
    if pairing == "paired":
        return json.dumps([cell.group, cell.run["seed"]])
    settings = cell.run.settings
    shared = {k: v for k, v in settings.items() if k not in ("aggregator", "encoding") and "." not in k}
    return json.dumps(shared, sort_keys=True)
