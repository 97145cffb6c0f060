"""Tell which tables and reports are current, without making them. Free of torch."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from favit.disk.files import sha256_of
from favit.identity.closure import ROOT
from favit.identity.digests import short_digest
from favit.results.made import is_current
from favit.results.state import Results, State
from favit.sweeps.config import Config, SweepConfig
from favit.sweeps.runs import Cell, Run

SUFFIXES = (".csv", ".tex", ".md", ".runs.csv")

ANALYSES = "analysis"  # the folder of analyses, below that of results

# Files besides Python source that tables are made with.
_ASSETS = (".csv", ".j2", ".json")


def folder(config: Config) -> Path:
    """The folder of the tables."""
    return config.results / "tables"


def files(config: Config, name: str) -> list[Path]:
    """A sweep's table in its three formats, and the scores of its runs one by one."""
    base = folder(config) / name
    return [base.with_suffix(suffix) for suffix in SUFFIXES]


def note(config: Config, name: str) -> Path:
    """The file that records what a sweep's table was made from."""
    return folder(config) / f"{name}.json"


def table_is_current(config: Config, name: str, digest: str) -> bool:
    """True if the table on disk is the one that would be made now, in all formats."""
    return is_current(note(config, name), digest, files(config, name))


def table_digest(
    sweep: SweepConfig,
    in_sweep: list[Cell],
    results: Results,
    states: Mapping[str, State],
    decided: Any = None,
) -> str:
    """The digest of all that a sweep's table depends on: its heading and rows, the results, the code that makes it.

    decided: what results have decided of the sweep itself, in plain values.
    """
    rows = []
    for cell in in_sweep:
        state = states[cell.run.key]
        stamp = state.result.stamp if state.result else _why_not(state)
        place = [cell.row, cell.label, cell.reference, cell.group, cell.values]
        rows.append([*place, cell.run.key, state.name, stamp, state.notes])
    recipe = [sweep.recipe.name, sweep.recipe.published, dict(sweep.recipe.changed)]
    made = sweep.table
    table: list[Any] = [
        sweep.name,
        made.caption,
        made.label,
        made.baseline,
        [*made.rows],
        made.pairing,
        recipe,
    ]
    if sweep.staged:
        table.append([made.equivalence_margin, repr(sweep.rounds), repr(sweep.tune), decided])
    return short_digest([_code(results, "favit.commands.tabulate"), table, rows])


def report_digest(results: Results, tables: Mapping[str, str]) -> str:
    """The digest of all that the report depends on: the digests of all sweeps' tables, the code that makes it, and
    the analysis that it shows."""
    shown = results.root / ANALYSES / "aggregator_use.json"
    measured = sha256_of(shown) if shown.is_file() else ""
    return short_digest([_code(results, "favit.commands.report"), dict(tables), measured])


def analysis_digest(results: Results, roots: Iterable[str], states: Iterable[State]) -> str:
    """The digest of what an analysis is made from: its code, and the runs that it reads, finished or not yet."""
    runs = [str(state.folder) for state in states]
    return short_digest([results.fingerprinter.reader.closure(roots).digest, runs])


def distinct(in_sweep: Iterable[Cell]) -> list[Run]:
    """The runs behind a table's cells, each once."""
    return list({cell.run.key: cell.run for cell in in_sweep}.values())


def _code(results: Results, root: str) -> list[str]:
    """The digests of a command's code, and of the files that it reads besides."""
    return [results.fingerprinter.reader.closure([root]).digest, *_assets()]


@functools.cache
def _assets() -> tuple[str, ...]:
    """The digests of those files: the same for every sweep, and read once, as source is."""
    return tuple(map(sha256_of, sorted(p for p in (ROOT / "favit").rglob("[!.]*") if p.suffix in _ASSETS)))


def _why_not(state: State) -> list[str]:
    """What a footnote that says why results of a run do not count depends on."""
    return [state.fingerprint.digest, *(r.folder.name for r in state.others)] if state.others else []
