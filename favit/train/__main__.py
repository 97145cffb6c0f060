"""Trains one run: ``python -m favit.train --run FILE|- --out DIR``; a bare run is completed and fingerprinted here."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from favit.identity.fingerprint import describe
from favit.sweeps.runs import resolve
from favit.train.life import launch, process


def complete(settings: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """The envelope of a run whose settings a person wrote: defaults added, checked, fingerprinted."""
    run = dict(resolve(settings).settings)
    return {"run": run, "fingerprint": describe(run, data)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; returns the exit status, see ``favit.train.life.process``."""
    return process.main(arguments, complete)


if __name__ == "__main__":
    process.leave(main(launch.launch(sys.argv[1:])))
