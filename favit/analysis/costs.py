"""Parameters and multiply-accumulates of the models behind a table, each counted once, without data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.analysis.tables import Cost
from favit.components import registry
from favit.components.facts import stated
from favit.components.literals import family_of, task_of
from favit.disk.cache import Cache
from favit.identity.digests import short_digest
from favit.identity.fingerprint import Fingerprinter
from favit.sweeps.runs import Run

# The training settings that shape a model.
_SHAPING = ("image_size", "input_length", "label_length", "horizon")

_CLASSES_AS_PUBLISHED = 1000


class Costs:
    """Costs of runs' models, remembered in a file that may be deleted at any time."""

    def __init__(self, file: Path, fingerprinter: Fingerprinter) -> None:
        self._cache = Cache(file)
        self._fingerprinter = fingerprinter

    def cost(self, run: Run) -> Cost | None:
        """The cost of one forward pass of the run's model; None if its size depends on a data file."""
        if stated(run["dataset"]) is None:
            return None
        shape = _shape(run)
        key = short_digest([shape, self._fingerprinter.code(run).digest])
        known = self._cache.get(key)
        if known is None:
            known = _count(shape)
            self._cache[key] = known
        return Cost(**known)

    def save(self) -> None:
        """Keep what was counted for the next time."""
        self._cache.save()


def _shape(run: Run) -> dict[str, Any]:
    """The settings that decide a model's size."""
    names = ("dataset", "model", "aggregator", "encoding")
    kept = {k: v for k, v in run.settings.items() if k in (*names, *_SHAPING) or "." in k}
    return {**kept, "drop_path": 0.0, "seed": 0}


def _count(run: Mapping[str, Any]) -> dict[str, int | None]:
    facts = stated(run["dataset"])
    assert facts is not None
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
