"""Results and histories of many runs as tidy tables: one row a run, one row a run and epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from favit.analysis.run_results import digests, outdated
from favit.analysis.runs_table import differing
from favit.disk.lease import holder_of
from favit.disk.run_folder import RunFolder
from favit.loading.places import AnyPath, configured
from favit.results.selection import chosen, setting_of
from favit.results.state import Results, State
from favit.sweeps.resolve import AXES
from favit.sweeps.runs import Run

if TYPE_CHECKING:
    import pandas as pd


def load_results(*words: str, config: AnyPath = "config.yaml") -> pd.DataFrame:
    """A tidy table with one row for each run that the configuration asks for, finished or not.

    words: sweeps, groups, runs and ``key=value``, as ``favit explain`` takes them; all runs without any.

    Columns: ``run`` (its name), the axes ``dataset`` to ``seed``, each setting in which the runs differ, ``state``
    (``valid``, ``accepted``, ``running``, ``stale``: only a result that does not count today, ``missing``),
    ``status`` (``finished`` or ``diverged``), the scores (``top1`` and ``top5`` in percent, ``mse``, ``mae``,
    ``loss``), ``epochs`` that were trained, ``device_hours``, ``memory_gib`` at the peak, ``finished`` and ``folder``.
    What a run does not have is missing (NaN). Where runs differ in a setting that is called as one of these columns,
    its own is ``setting.epochs``. Raises ``ConfigError`` (a ``ValueError``) for words that name nothing.

    >>> import favit
    >>> found = favit.load_results("dataset=digits")
    >>> found[["aggregator", "seed", "state"]].sort_values("aggregator").to_dict("list")
    {'aggregator': ['max_pool', 'probsparse'], 'seed': [0, 0], 'state': ['valid', 'valid']}
    >>> bool(found.top1.between(0, 100).all())
    True
    """
    import pandas as pd

    runs, states = _states(words, config)
    keys = differing(runs)
    asked = digests(chosen(configured(config), []))
    last = ["epochs", "device_hours", "memory_gib", "finished", "folder"]
    rows = [{**named(state.run, keys, last), **_outcome(state, asked)} for state in states]
    frame = pd.DataFrame(rows, columns=None if rows else [*AXES])
    return frame[[*(c for c in frame.columns if c not in last), *(c for c in last if c in frame.columns)]]


def load_histories(*words: str, config: AnyPath = "config.yaml") -> pd.DataFrame:
    """One row for each run and epoch, runs that are still going included; ``words`` as for ``load_results``.

    Columns: ``run``, axes and differing settings as in ``load_results``, ``going`` (whether the run is not finished),
    and those of the runs' ``history.csv``: ``epoch`` from 1, ``train_loss``, ``lr``, ``test_top1`` or
    ``validation_mse`` and the like, ``seconds``, ``examples_per_second``, ``memory_bytes``. ``lr`` is that of the
    epoch; where runs differ in the setting, that is ``setting.lr``.

    >>> import favit
    >>> found = favit.load_histories("dataset=digits")
    >>> found.groupby("run").epoch.max().to_dict()
    {'favit_b0.max_pool.none.seed0': 1, 'favit_b0.probsparse.none.seed0': 1}
    """
    import pandas as pd

    runs, states = _states(words, config)
    keys = differing(runs)
    parts = []
    for state in states:
        file = RunFolder(state.folder).history
        if file.is_file():
            part = read_history(file)
            about = {**named(state.run, keys, part.columns), "going": not state.counts}
            parts.append(
                pd.DataFrame({name: [value] * len(part) for name, value in about.items()}).join(part)
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run", *AXES, "epoch"])


def read_history(file: Path) -> pd.DataFrame:
    """A ``history.csv``. ``ValueError`` names the file if somebody damaged it: runs write it whole."""
    import pandas as pd

    try:
        return pd.read_csv(file)
    except ValueError as error:
        raise ValueError(f"cannot read {file}: {error}") from None


def named(run: Run, keys: Iterable[str], taken: Iterable[str] = ()) -> dict[str, Any]:
    """The columns that identify a run: its name, its axes and the settings ``keys``.

    taken: names of other columns; a setting of such a name is called ``setting.NAME``.
    """
    taken = set(taken)
    return {
        "run": run.name,
        **{axis: run[axis] for axis in AXES},
        **{f"setting.{key}" if key in taken else key: setting_of(run, key) for key in keys},
    }


def _states(words: Iterable[str], config: AnyPath) -> tuple[list[Run], list[State]]:
    words = list(words)
    if not all(isinstance(word, str) for word in words):
        raise TypeError('words are text, one by one: favit.load_results("my-sweep", "seed=0")')
    where = configured(config)
    runs = chosen(where, list(words))
    return runs, Results(where).states(runs)


def _outcome(state: State, asked: Collection[str]) -> dict[str, Any]:
    """The columns about a run's state and result."""
    folder = str(state.folder)
    if state.result is None:
        word = "running" if holder_of(state.folder) else "stale" if outdated(state, asked) else "missing"
        return {"state": word, "status": None, "folder": folder if state.folder.is_dir() else None}
    content: Mapping[str, Any] = state.result.content
    return {
        "state": state.name,
        "status": state.result.status,
        **content["metrics"],
        "epochs": content.get("epochs_run"),
        "device_hours": state.result.seconds / 3600,
        "memory_gib": (content.get("peak_memory_bytes") or 0) / 2**30 or None,
        "finished": state.result.finished or None,
        "folder": folder,
    }
