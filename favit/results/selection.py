"""Select runs by words: sweeps, groups, all, a run's name or folder, and ``key=value``. Free of torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from favit.components.nearest import unknown
from favit.results.state import Results
from favit.sweeps.config import Config, ConfigError, SweepConfig
from favit.sweeps.resolve import AXES, component_settings
from favit.sweeps.runs import Run, runs, unique

WORDS = "sweeps, groups, runs or folders, and key=value[,value] to select among their runs"
_FILTER = re.compile(r"([A-Za-z_][\w.]*)=(.*)", re.DOTALL)

Filters = Mapping[str, Sequence[str]]  # key -> the values that are wanted, as text


def chosen(config: Config, words: Iterable[str], default: str = "") -> list[Run]:
    """The runs that words mean: all that sweeps, groups, names and folders stand for, each once, of these those whose
    settings are as every ``key=value`` says (``seed=0,1``: either).

    Without any that stands for runs, ``default`` does, or else every sweep. Raises ``ConfigError`` for a word that
    means nothing, and where no run has such settings.
    """
    in_sweeps = unique(run for name in config.sweeps for run in runs(config, name))
    targets, filters = parted(words, in_sweeps)
    if not targets and (filters or not default):
        return filtered(in_sweeps, filters)
    return filtered(unique(run for target in targets or [default] for run in select(config, target)), filters)


def sweeps_with(config: Config, words: Iterable[str]) -> list[tuple[SweepConfig, frozenset[str]]]:
    """The sweeps that words mean (all by default), each with the keys of its runs that ``key=value`` leaves.

    One of which it leaves none is not among them.
    """
    in_sweeps = {name: runs(config, name) for name in config.sweeps}
    names, filters = parted(words, unique(run for found in in_sweeps.values() for run in found))
    sweeps = {sweep.name: sweep for name in names or ["all"] for sweep in config.sweeps_of(name)}
    if filters and not names:
        sweeps = dict(config.sweeps)
    left = {run.key for run in filtered(unique(r for name in sweeps for r in in_sweeps[name]), filters)}
    found = [(s, frozenset(left & {run.key for run in in_sweeps[s.name]})) for s in sweeps.values()]
    return [(sweep, keys) for sweep, keys in found if keys]


def parted(words: Iterable[str], in_sweeps: Sequence[Run]) -> tuple[list[str], dict[str, list[str]]]:
    """Split words into those that name runs and ``key=value`` filters. The name of a run may contain ``=``, too."""
    targets: list[str] = []
    filters: dict[str, list[str]] = {}
    for word in words:
        found = _FILTER.fullmatch(word)
        if found is None or any(word in _names(run) for run in in_sweeps) or os.path.exists(word):  # noqa: PTH110
            targets.append(word)
        else:
            filters.setdefault(found[1], []).extend(value.strip() for value in found[2].split(","))
    return targets, filters


def filtered(found: Sequence[Run], filters: Filters) -> list[Run]:
    """The runs with these settings. ``ConfigError`` if a key is unknown or no run is left."""
    left = list(found)
    for key, values in filters.items():
        there = [value for run in left if (value := setting_of(run, key)) is not None]
        if not there:
            keys = dict.fromkeys([*AXES, *(key for run in found for key in settings_of(run))])
            raise ConfigError(unknown(f"setting '{key}' of these runs", key, keys))
        left = [run for run in left if _is_one(setting_of(run, key), values)]
        if not left:
            valid = sorted({_written(value) for value in there}, key=_by_number)
            raise ConfigError(unknown(f"value '{','.join(values)}' of {key} here", values[0], valid))
    return left


def setting_of(run: Run, key: str) -> Any:
    """A setting's value, given or by default; None if the run has no such setting."""
    found = run.settings.get(key)
    if found is None and "." in key:
        declared = component_settings(run.settings).get(key)
        found = None if declared is None else declared.default
    return found


def settings_of(run: Run) -> list[str]:
    """The names of all settings by which a run can be selected."""
    return sorted({*run.settings, *component_settings(run.settings)})


def _is_one(value: Any, wanted: Iterable[str]) -> bool:
    return value is not None and any(_by_number(_written(value)) == _by_number(text) for text in wanted)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _by_number(text: str) -> tuple[float, str]:
    """Numbers before words and by their value: ``1e-3`` is ``0.001``."""
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def select(config: Config, wanted: str) -> list[Run]:
    """The runs of a sweep, a group or ``all``, or those with ``wanted`` as their name or folder.

    Raises ``ConfigError`` if it is none of these.
    """
    if wanted == "all" or wanted in config.sweeps or wanted in config.groups:
        return runs(config, wanted)
    in_sweeps = [run for name in config.sweeps for run in runs(config, name)]
    found = unique(run for run in in_sweeps if wanted in _names(run))
    if not found and wanted:  # an empty word is not the folder that one is in
        found = _in_folder(Results(config), unique(in_sweeps), Path(wanted).resolve())
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
