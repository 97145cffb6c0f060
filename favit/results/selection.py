"""Which runs a person means: a sweep, a group, all of them, a run's name or its folder. Free of torch."""

from __future__ import annotations

from pathlib import Path

from favit.components.nearest import unknown
from favit.results.state import Results
from favit.sweeps.config import Config, ConfigError
from favit.sweeps.runs import Run, runs, unique


def select(config: Config, wanted: str) -> list[Run]:
    """The runs of a sweep, a group or ``all``, or those whose name or folder ``wanted`` is.

    Raises ``ConfigError`` where it is none of these.
    """
    if wanted == "all" or wanted in config.sweeps or wanted in config.groups:
        return runs(config, wanted)
    in_sweeps = [run for name in config.sweeps for run in runs(config, name)]
    by_name = unique(run for run in in_sweeps if wanted in _names(run))
    found = by_name or _in_folder(Results(config), unique(in_sweeps), Path(wanted).resolve())
    if not found:
        valid = ["all", *config.groups, *config.sweeps]
        raise ConfigError(unknown(f"sweep, run or folder '{wanted}'", wanted, valid))
    return found


def _names(run: Run) -> list[str]:
    """A run's name in its sweep, and the one that it shares with all that differ by a setting; with its data or not."""
    names = [run.name, f"{run.mechanism}.seed{run['seed']}"]
    return [*names, *(f"{run['dataset']}.{name}" for name in names)]


def _in_folder(results: Results, every: list[Run], folder: Path) -> list[Run]:
    """The runs whose results lie below a folder, or that a result's own folder belongs to."""
    if folder.is_file():
        folder = folder.parent
    below = [run for run in every if results.place(run).resolve().is_relative_to(folder)]
    if below:
        return below
    here = [run for run in every if results.place(run).resolve() == folder.parent]
    settings = {r.fingerprint["settings"] for r in results.in_place(folder.parent) if r.folder == folder}
    return [
        s.run
        for s in results.states(here)
        if s.fingerprint.settings in settings or s.folder.resolve() == folder
    ]
