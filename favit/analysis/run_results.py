"""Runs as a table sees them: from states on disk to what is averaged, compared or said in a footnote."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from favit.analysis import top5
from favit.analysis.results import RunResult
from favit.components.literals import trained
from favit.disk.lease import holder_of
from favit.disk.run_folder import RunFolder
from favit.identity.settings import settings_digest
from favit.results.reasons import reason
from favit.results.state import Result, Results, State
from favit.sweeps.runs import Cell, Run


def stale(state: State, asked: set[str], results: Results) -> str:
    """Why no result of this run is valid; empty if one is or there is none. asked: as in ``outdated``."""
    own = outdated(state, asked)
    return reason(replace(state, others=own), results.fingerprinter) if own else ""


def digests(runs: Iterable[Run]) -> set[str]:
    """The digests of these runs' settings, as ``outdated`` wants them."""
    return {settings_digest(run.settings) for run in runs}


def outdated(state: State, asked: Collection[str]) -> tuple[Result, ...]:
    """The results of a run that do not count today; empty if one counts.

    asked: digests of the settings of all runs that are asked for. Results of other runs, such as another horizon's, lie
    in the same place; they are not this run's.
    """
    if state.counts:
        return ()
    settings = state.fingerprint.settings
    return tuple(r for r in state.others if (s := r.fingerprint["settings"]) == settings or s not in asked)


def run_result(cell: Cell, state: State, stale: str = "", pairing: str = "auto") -> RunResult:
    """A run as the table sees it; ``stale`` says why there is only a result that does not count."""
    common: dict[str, Any] = {
        "row_id": cell.row,
        "group": dict(cell.group),
        "seed": cell.run["seed"],
        "randomness": _randomness(cell, pairing),
        "settings": cell.run.settings,
        "exact": not trained(cell.run["model"]),
        "name": cell.run.name,
        "folder": state.folder,
    }
    if state.result is not None:
        predictions = RunFolder(state.folder).predictions
        return RunResult(
            **common,
            state="accepted" if state.name == "accepted" else "valid",
            metrics=top5.only_where_it_says_something(state.result.content, predictions),
            predictions=predictions,
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
