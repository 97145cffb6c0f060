"""What to train: a run, alone or in the envelope that the workflow writes, read and checked."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.literals import task_of
from favit.train import schedule


@dataclass(frozen=True)
class Request:
    """A run that is ready to be trained."""

    run: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    envelope: Mapping[str, Any]  # as received, to be kept beside the result

    @property
    def task(self) -> str:
        """``classification`` or ``forecasting``."""
        return task_of(self.run["dataset"])


def read(source: str, data: Path) -> Request:
    """Read a request from a file or, for ``-``, from standard input.

    A bare run is completed by the defaults, checked and fingerprinted here; an
    envelope comes from where that has been done. ``ValueError`` says in one line
    what is wrong.
    """
    envelope = _parse(source)
    if "run" not in envelope:
        run = dict(_elsewhere("favit.sweep").resolve(envelope).settings)
        envelope = {"run": run, "fingerprint": _elsewhere("favit.fingerprint").of_run(run, data)}
    if not isinstance(envelope.get("fingerprint"), dict) or "digest" not in envelope["fingerprint"]:
        raise ValueError(f"{source}: an envelope needs a fingerprint beside its run")
    schedule.check(envelope["run"])
    return Request(envelope["run"], envelope["fingerprint"], envelope)


def _parse(source: str) -> dict[str, Any]:
    text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{source} must hold one JSON object, the run's settings by name")
    return content


def _elsewhere(module: str) -> Any:
    # By name, so that what prepares runs is no part of the code that a result depends on.
    return importlib.import_module(module)
