"""Parameters and multiply-accumulates of the models behind a table, each counted once, without data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.analysis.tables import Cost
from favit.components import own, registry
from favit.components.facts import stated
from favit.components.literals import family_of, task_of
from favit.data import _counted
from favit.disk.cache import Cache
from favit.identity.digests import short_digest
from favit.identity.fingerprint import Fingerprinter
from favit.sweeps.runs import Run

# The training settings that shape a model.
_SHAPING = ("image_size", "input_length", "label_length", "horizon")

_CLASSES_AS_PUBLISHED = 1000


class Costs:
    """Costs of runs' models, remembered in a file that may be deleted at any time."""

    def __init__(self, file: Path, fingerprinter: Fingerprinter, data: Path) -> None:
        self._cache = Cache(file)
        self._fingerprinter = fingerprinter
        self._data = data
        self._counted: dict[str, Mapping[str, Any] | None] = {}

    def cost(self, run: Run) -> Cost | None:
        """The cost of one forward pass of the run's model.

        None if its size depends on a file that is not here, or if a model of the user's own cannot be counted, of
        which a line on standard error says why.
        """
        facts, shape = stated(run["dataset"]) or self._facts(run), _shape(run)
        if facts is None:
            return None
        told = [] if stated(run["dataset"]) else [dict(facts)]
        key = short_digest([shape, self._fingerprinter.code(run).digest, *told])
        known = self._cache.get(key)
        if known is None:
            try:
                known = _count(shape, facts)
            except Exception as error:
                if not own.used_by(run.settings):
                    raise
                said = f"{type(error).__name__}: {' '.join(str(error).split())}"
                print(f"{run.name}: parameters and FLOPs cannot be counted: {said}", file=sys.stderr)
                return None
            self._cache[key] = known
        return Cost(**known)

    def _facts(self, run: Run) -> Mapping[str, Any] | None:
        """What a user's file or folder says, once for each way of setting it; None without it."""
        of_data = {k: v for k, v in _shape(run).items() if k.startswith("dataset") or k in _SHAPING}
        key = short_digest(of_data)
        if key not in self._counted:
            try:
                self._counted[key] = _counted.facts_of(self._data, run.settings)
            except (OSError, ValueError):
                self._counted[key] = None
        return self._counted[key]

    def save(self) -> None:
        """Keep what was counted for the next time."""
        self._cache.save()


def _shape(run: Run) -> dict[str, Any]:
    """The settings that decide a model's size."""
    names = ("dataset", "model", "aggregator", "encoding")
    kept = {k: v for k, v in run.settings.items() if k in (*names, *_SHAPING) or "." in k}
    return {**kept, "drop_path": 0.0, "seed": 0}


def _count(run: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, int | None]:
    counts = _counts_of(run, facts)
    published = None
    if task_of(run["dataset"]) == "classification":
        published = _counts_of(run, {**facts, "classes": _CLASSES_AS_PUBLISHED}).params
    return {"params": counts.params, "macs": counts.macs, "params_1000": published}


def _counts_of(run: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    from favit.analysis.count import count

    model = registry.load("models", family_of(run["model"])).build(run, facts).eval()
    return count(model, *_inputs(run, facts))


def _inputs(run: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """One example of the run's shape."""
    import torch

    if task_of(run["dataset"]) == "classification":
        return (torch.zeros(1, 3, run["image_size"], run["image_size"]),)
    steps = run["input_length"], run["label_length"] + run["horizon"]
    width = facts["variables"], facts["time_features"]
    return tuple(torch.zeros(1, length, size) for length in steps for size in width)
