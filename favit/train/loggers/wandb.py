"""Weights & Biases, and packages that follow its interface: ``init``, ``log`` and ``finish``.

Offline, unless the options of the logger say otherwise: nothing leaves the machine, nobody is asked for a key. What a
life writes lies below ``wandb/`` in the run's folder, for ``wandb sync``.
"""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
from collections.abc import Mapping
from typing import Any

from favit.train.loggers.about import About

# Said by the environment, since names of settings change between versions; what the user has set there stays.
_QUIET = {
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",  # what a logger's process prints is no output of the run
    "WANDB_DISABLE_GIT": "true",  # results name their commit
    "WANDB_DISABLE_CODE": "true",  # snapshots hold it
    "WANDB_X_DISABLE_STATS": "true",  # would be those of the logger's process
    "WANDB_ERROR_REPORTING": "false",  # looks up an address even offline
}


class Writer:
    """Writes one run of W&B, which has the same id in each life of ours.

    ``package`` is who is asked for ``init``; all other options are handed to it.
    """

    def __init__(self, run: About, package: str = "wandb", mode: str = "offline", **options: Any) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        # W&B starts a folder anew offline, and online takes no step twice. Of others nothing is known.
        self.replays = package == "wandb"
        self._package = importlib.import_module(package)
        place = run.folder / "wandb"
        self._earlier = sorted(place.glob(f"offline-run-*-{run.digest}")) if mode == "offline" else []
        known = {
            "project": "favit",
            "name": run.name,
            "experiment_name": run.name,
            "group": run.group,
            "config": dict(run.settings),
            "mode": mode,
            "dir": str(run.folder),
            "logdir": str(run.folder / package),
            "id": run.digest,
            "resume": "allow" if mode == "online" or not self.replays else None,
        }
        taken = inspect.signature(self._package.init).parameters
        self._run = self._package.init(**{k: v for k, v in known.items() if k in taken} | options)

    def __call__(self, row: Mapping[str, Any]) -> None:
        """The row at the step of its epoch."""
        self._package.log(dict(row), step=int(row["epoch"]))
        while self._earlier:
            shutil.rmtree(self._earlier.pop(), ignore_errors=True)

    def close(self, end: Mapping[str, Any]) -> None:
        """The final scores into the summary, where there is one."""
        summary = getattr(self._run, "summary", None)
        if summary is not None:
            for name, value in {"status": end["status"], **end["metrics"]}.items():
                summary[f"final/{name}"] = value
        takes_code = "exit_code" in inspect.signature(self._package.finish).parameters
        status = 0 if end["status"] == "finished" else 1
        self._package.finish(**({"exit_code": status} if takes_code else {}))
