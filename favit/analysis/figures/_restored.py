"""A run's data and trained model, from what its folder keeps. Torch is imported only when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from favit.analysis.results import RunResult
from favit.components import registry
from favit.components.facts import facts
from favit.components.literals import family_of
from favit.disk.run_folder import RunFolder


def settings_of(run: RunResult) -> Mapping[str, Any] | None:
    """The settings that a run was trained with; None if its metrics do not say."""
    found = (run.metrics or {}).get("run")
    return found if found and "dataset" in found else None


def data_of(run: RunResult, root: Path) -> Any:
    """The data set that a run was trained on, as its module loads it; None if it is not on this machine."""
    settings = settings_of(run)
    if settings is None:
        return None
    try:
        return registry.load("data", settings["dataset"]).load(root, settings)
    except (FileNotFoundError, KeyError):
        return None


def columns_of(run: RunResult, root: Path) -> list[str]:
    """Names of a series' variables; empty if its data are not on this machine."""
    series = data_of(run, root)
    return [] if series is None else [str(name) for name in series.columns]


def model_of(run: RunResult, facts: Mapping[str, Any]) -> Any:
    """The trained model in evaluation mode; None if no weights were kept."""
    kept = None if run.predictions is None else RunFolder(run.predictions.parent).weights
    settings = settings_of(run)
    if kept is None or settings is None or not kept.exists():
        return None
    from favit.train import weights

    model = registry.load("models", family_of(settings["model"])).build(settings, facts)
    model.load_state_dict(weights.read(kept))
    return model.eval()


def facts_of(run: RunResult, data: Any) -> Mapping[str, Any]:
    """The facts about the data set that a model needs."""
    settings = settings_of(run) or {}
    return facts(settings["dataset"], data)
