"""Make a sweep's tables from the results that count today: ``python -m favit.tabulate SWEEP...``.

A table may be made at any time; what is missing, stale or running is said in
its footnotes. Beside it lies ``<sweep>.json``, which says what it was made
from, so that one can tell whether it is still today's. Torch is imported only
to count parameters, in a process that makes tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from favit.disk import lease_holder
from favit.disk.files import sha256_of, write_atomic
from favit.identity.closure import ROOT
from favit.identity.digests import short_digest
from favit.results.reasons import reason
from favit.results.state import Results, State
from favit.sweeps.config import Config, ConfigError, SweepConfig, load
from favit.sweeps.runs import Cell, Run, cells

if TYPE_CHECKING:
    from favit.analysis.tables import RunResult, Table, TableSpec

SUFFIXES = (".csv", ".tex", ".md")


def folder(config: Config) -> Path:
    """Where tables lie."""
    return config.results / "tables"


def digest(sweep: SweepConfig, in_sweep: list[Cell], results: Results, states: Mapping[str, State]) -> str:
    """Of all that a sweep's table depends on: its heading and rows, the results, and the code that makes it."""
    closure = results.fingerprinter.reader.closure(
        ["favit.commands.tabulate", "favit.analysis.tables", "favit.analysis.costs"]
    )
    assets = sorted(p for p in (ROOT / "favit" / "analysis").rglob("[!.]*") if p.suffix in _ASSETS)
    rows = []
    for cell in in_sweep:
        state = states[cell.run.key]
        stamp = state.result.stamp if state.result else _why_not(state)
        rows.append(
            [cell.row, cell.label, cell.reference, cell.group, cell.run.key, state.name, stamp, state.notes]
        )
    table = [sweep.name, sweep.table.caption, sweep.table.label, sweep.table.baseline]
    return short_digest([closure.digest, [sha256_of(p) for p in assets], table, rows])


def _why_not(state: State) -> list[str]:
    """Of what a footnote depends on that says why results of a run do not count."""
    return [state.fingerprint.digest, *(r.folder.name for r in state.others)] if state.others else []


# Files besides Python source that tables are made with.
_ASSETS = (".csv", ".j2", ".json")


def is_current(config: Config, sweep: SweepConfig, today: str) -> bool:
    """Whether the table on disk is the one that would be made now, all of its files."""
    base = folder(config) / sweep.name
    try:
        made_from = json.loads(base.with_suffix(".json").read_text())
        return made_from == {"digest": today, "files": _digests(base)}
    except (OSError, ValueError):
        return False


def _digests(base: Path) -> dict[str, str]:
    # Two processes that make a table at once, of different results, may leave files of both.
    return {suffix: sha256_of(base.with_suffix(suffix)) for suffix in SUFFIXES}


def build(config: Config, sweep: SweepConfig, results: Results) -> tuple[Table, list[RunResult]]:
    """A sweep's table as it stands, and the runs behind it."""
    in_sweep = cells(sweep)
    return _build(config, sweep, in_sweep, results, _states(in_sweep, results))


def _build(
    config: Config,
    sweep: SweepConfig,
    in_sweep: list[Cell],
    results: Results,
    states: Mapping[str, State],
) -> tuple[Table, list[RunResult]]:
    from favit.analysis import costs, tables

    counted = costs.Costs(config.results / ".cache" / "costs.json", results.fingerprinter)
    spec = table_spec(sweep, in_sweep)
    asked = {state.fingerprint.settings for state in states.values()}
    of_cells = [(cell, states[cell.run.key]) for cell in in_sweep]
    runs = [run_result(cell, state, _stale(state, asked, results)) for cell, state in of_cells]
    table = tables.make(
        spec, runs, {(spec.key(dict(cell.group)), cell.row): counted.of(cell.run) for cell in in_sweep}
    )
    counted.save()
    return table, runs


def make(config: Config, sweep: SweepConfig, results: Results) -> Path:
    """Write a sweep's table; returns the path of its Markdown."""
    from favit.analysis import tables

    in_sweep = cells(sweep)
    # The digest is of the same states as the table: a result that arrives meanwhile makes it outdated.
    states = _states(in_sweep, results)
    table, _ = _build(config, sweep, in_sweep, results, states)
    tables.write(table, folder(config), sweep.name)
    base = folder(config) / sweep.name
    made_from = {"digest": digest(sweep, in_sweep, results, states), "files": _digests(base)}
    write_atomic(base.with_suffix(".json"), json.dumps(made_from) + "\n")
    return base.with_suffix(".md")


def _states(in_sweep: list[Cell], results: Results) -> dict[str, State]:
    return {state.run.key: state for state in results.states(distinct(in_sweep))}


def distinct(in_sweep: Iterable[Cell]) -> list[Run]:
    """The runs behind a table's cells, each once."""
    return list({cell.run.key: cell.run for cell in in_sweep}.values())


def table_spec(sweep: SweepConfig, in_sweep: list[Cell]) -> TableSpec:
    """What the configuration says about a sweep's table."""
    from favit.analysis.tables import Row, TableSpec

    rows = {cell.row: Row(cell.row, cell.label, cell.reference or None) for cell in in_sweep}
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
    )


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


def run_result(cell: Cell, state: State, stale: str = "") -> RunResult:
    """A run as the table sees it; ``stale`` says why there is only a result that does not count."""
    from favit.analysis.tables import RunResult

    common: dict[str, Any] = {
        "row_id": cell.row,
        "group": dict(cell.group),
        "seed": cell.run["seed"],
        "randomness": _randomness(cell.run),
    }
    if state.result is not None:
        return RunResult(
            **common,
            state="accepted" if state.name == "accepted" else "valid",
            metrics=state.result.content,
            predictions=state.folder / "predictions.npz",
            note="; ".join(state.notes),
        )
    if lease_holder.of(state.folder):
        return RunResult(**common, state="running")
    return RunResult(**common, state="stale" if stale else "missing", note=stale)


def _randomness(run: Run) -> str:
    """Equal for runs that differ in nothing but their mechanism: they see the same examples in the same order."""
    shared = {k: v for k, v in run.settings.items() if k not in ("aggregator", "encoding") and "." not in k}
    return json.dumps(shared, sort_keys=True)


def main(arguments: list[str] | None = None) -> int:
    """Make the tables of sweeps, groups or ``all``, and say where they are; or print them."""
    parser = argparse.ArgumentParser(
        prog="python -m favit.tabulate", description="Make the tables of sweeps."
    )
    parser.add_argument("sweeps", nargs="+", help="sweeps, groups, or all")
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    parser.add_argument("--show", action="store_true", help="print tables that exist, make none")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        chosen = [sweep for name in options.sweeps for sweep in config.sweeps_of(name)]
        results = Results(config)
        for sweep in chosen:
            path = (folder(config) / sweep.name).with_suffix(".md")
            if not options.show:
                path = make(config, sweep, results)
            elif not path.exists():
                raise ConfigError(f"{path} is not there yet: snakemake {sweep.name}")
            else:
                print(path.read_text().rstrip() + "\n")
            print(", ".join(str(path.with_suffix(s)) for s in SUFFIXES) + ("\n" if options.show else ""))
    except (ConfigError, PermissionError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
