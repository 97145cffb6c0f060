"""Find the results and data of a configuration, wherever Python was started."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from favit.results.state import Results, State
from favit.sweeps.config import Config, ConfigError, load

AnyPath = str | os.PathLike[str]


def configured(config: AnyPath) -> Config:
    """The configuration in a file, its folders relative to the file. Raises ``ConfigError``."""
    file = Path(config)
    found = load(file)
    return replace(found, results=file.parent / found.results, data=file.parent / found.data)


def data_of(config: AnyPath) -> Path:
    """The folder of the data sets: the configuration's, or ``data`` where there is none."""
    return configured(config).data if Path(config).is_file() else Path("data")


def folder_of(run: AnyPath, config: AnyPath) -> Path:
    """The folder of the one run that is meant: a folder or file of it, its name, its words, its key or its digest.

    Raises ``ConfigError`` (a ``ValueError``) where it is none or several of them, and where it has no result.
    """
    path = Path(run)
    folder = path.parent if os.path.isfile(path) else path  # noqa: PTH113 - a key is too long for a path's own
    if any(os.path.isfile(folder / name) for name in ("metrics.json", "run.json")):  # noqa: PTH113
        return folder
    states = _meant(str(run), configured(config))
    if len(states) > 1:
        some = ", ".join(f"{state.run['dataset']}.{state.run.name}" for state in states[:4])
        more = ", ..." if len(states) > 4 else ""
        raise ConfigError(
            f"'{run}' matches {len(states)} runs ({some}{more}); name one of them or its folder"
        )
    [state] = states
    if not state.counts and not (state.folder / "run.json").is_file():
        raise ConfigError(
            f"{state.run['dataset']} {state.run.name} has no valid result; favit explain shows why"
        )
    return state.folder


def _meant(run: str, config: Config) -> list[State]:
    """The states of the runs that a text may mean."""
    from favit.results.selection import chosen

    results = Results(config)
    every = chosen(config, [])
    by_key = [each for each in every if run in (each.key, f"{each['dataset']} {each.name}")]
    if by_key:
        return results.states(by_key)
    by_digest = [state for state in results.states(every) if state.folder.name == run]
    return by_digest or results.states(chosen(config, run.split()))
