"""A sweep's table from the results that count today. What is missing, stale or running is said in its footnotes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from favit.analysis import costs, runs_table, tables
from favit.analysis.asked import Asked, asked, digest, run_result_of
from favit.analysis.run_results import run_result, stale
from favit.analysis.spec import table_spec
from favit.analysis.tables import RunResult, Table
from favit.results import made
from favit.results.state import Results, State
from favit.results.tables import files, folder, note
from favit.sweeps.config import Config, SweepConfig
from favit.sweeps.runs import Cell
from favit.sweeps.stages import Possible, possible

__all__ = ["build", "digest", "make", "now_of", "run_result", "table_spec"]


def build(config: Config, sweep: SweepConfig, results: Results) -> tuple[Table, list[RunResult]]:
    """A sweep's table as it stands, and the runs behind it."""
    now, states = now_of(possible(sweep), results)
    return _build(config, now, results, states)


def make(config: Config, sweep: SweepConfig, results: Results) -> Path:
    """Write a sweep's table; returns the path of its Markdown."""
    # The digest is that of the same states as the table: a result that arrives meanwhile makes it outdated.
    now, states = now_of(possible(sweep), results)
    table, runs = _build(config, now, results, states)
    tables.write(table, folder(config), sweep.name)
    placed = [
        (cell, states[cell.run.key], run)
        for cell, run in zip(now.cells, runs, strict=True)
        if now.chosen(cell)
    ]
    runs_table.write(folder(config) / f"{sweep.name}.runs.csv", sweep.name, placed)
    written = files(config, sweep.name)
    made.record(note(config, sweep.name), digest(now, results, states), written)
    return next(path for path in written if path.suffix == ".md")


def _build(
    config: Config, now: Asked, results: Results, states: Mapping[str, State]
) -> tuple[Table, list[RunResult]]:
    counted = costs.Costs(config.results / ".cache" / "costs.json", results.fingerprinter)
    sweep, in_sweep = now.possible.sweep, now.cells
    spec = table_spec(sweep, list(in_sweep))
    known = {state.fingerprint.settings for state in states.values()}

    def result_of(cell: Cell) -> RunResult:
        why = stale(states[cell.run.key], known, results)
        return run_result_of(cell, states, now.choices, spec.pairing, why)

    runs = [result_of(cell) for cell in in_sweep]
    table = tables.make(
        spec,
        runs,
        {
            (spec.key(dict(cell.group)), cell.row): counted.cost(cell.run)
            for cell in in_sweep
            if now.chosen(cell)
        },
        {(spec.key(dict(group)), row): notes for (group, row), notes in now.notes().items()},
    )
    counted.save()
    return table, runs


def now_of(what: Possible, results: Results) -> tuple[Asked, dict[str, State]]:
    """The runs that a sweep asks for now, and the states of all runs that it may ask for, by key."""
    states = {state.run.key: state for state in results.states(what.runs)}
    return asked(what, states), states
